package config

import (
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Write prints the configuration as a file that Load reads, in the order of the help,
// with where each value comes from behind it. What has no value, and a secret, is a
// comment.
func (c Config) Write(w io.Writer, origins Origins) error {
	var lines [][2]string
	width := 0
	for _, o := range Options() {
		line, err := o.line(c)
		if err != nil {
			return err
		}
		lines = append(lines, [2]string{line, origins[o.Name]})
		width = max(width, min(len([]rune(line)), maxColumn))
	}
	var b strings.Builder
	for _, line := range lines {
		fmt.Fprintf(&b, "%-*s  # %s\n", width, line[0], line[1])
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// maxColumn, in characters, is where the origins begin at most: behind longer lines they
// follow at once.
const maxColumn = 48

// line is the option as a line of the file.
func (o Option) line(c Config) (string, error) {
	value := o.value(c)
	switch {
	case value == "":
		return "# " + o.Name + ":", nil
	case o.Secret:
		return "# " + o.Name + ": " + value, nil
	}
	node := yaml.Node{Kind: yaml.ScalarNode}
	if o.List {
		node = yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, v := range o.all(c) {
			item := yaml.Node{}
			item.SetString(v)
			node.Content = append(node.Content, &item)
		}
	} else {
		node.Value = value
	}
	text, err := yaml.Marshal(map[string]*yaml.Node{o.Name: &node})
	return strings.TrimSuffix(string(text), "\n"), err
}
