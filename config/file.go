package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile, in bytes, bounds the configuration file: the longest sensible one has
// some kilobytes.
const maxFile = 1 << 20

// fileValue is one option of the file.
type fileValue struct {
	values []string
	origin string // "FILE:LINE"
}

// readFile returns the options of the YAML file at path; none for path "".
func readFile(path string, options []Option) (map[string]fileValue, error) {
	if path == "" {
		return nil, nil
	}
	fail := func(err error) error { return &Problem{Origin: path, Reason: err} }
	f, err := os.Open(path)
	if err != nil {
		return nil, fail(fmt.Errorf("%w: name a file that can be read with --config", errors.Unwrap(err)))
	}
	defer f.Close() // read only: closing cannot lose anything
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, fail(fmt.Errorf("%w: name a file that can be read with --config", errors.Unwrap(err)))
	case len(data) > maxFile:
		return nil, fail(errors.New("longer than 1 MiB: this is not a configuration of imagefs"))
	}
	values, err := parseFile(path, data, options)
	if err != nil {
		return nil, err
	}
	if _, ok := values["token"]; ok {
		if info, err := f.Stat(); err == nil && info.Mode().Perm()&0o077 != 0 {
			return nil, fail(fmt.Errorf("holds a token and can be read by others: chmod 600 %s", path))
		}
	}
	return values, nil
}

func parseFile(path string, data []byte, options []Option) (map[string]fileValue, error) {
	at := func(line int) string { return fmt.Sprintf("%s:%d", path, line) }
	var document yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, nil // an empty file configures nothing
	case err != nil:
		return nil, &Problem{Origin: path, Reason: fmt.Errorf("%s: mend it, or check it with a YAML linter",
			strings.TrimPrefix(err.Error(), "yaml: "))}
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, &Problem{Origin: path, Reason: errors.New("a second YAML document begins in it: write all options into one, without --- between")}
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil // only comments
	}
	if root.Kind != yaml.MappingNode {
		return nil, &Problem{Origin: at(root.Line), Reason: errors.New(`not a list of options: write lines such as "memory: 256MiB"`)}
	}
	values := make(map[string]fileValue, len(root.Content)/2)
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, node := root.Content[i], root.Content[i+1]
		o, ok := find(options, key.Value)
		if !ok {
			return nil, &Problem{Origin: at(key.Line), Reason: fmt.Errorf("unknown key %q: use %s", key.Value, oneOf(names(options)))}
		}
		if _, twice := values[key.Value]; twice {
			return nil, &Problem{Origin: at(key.Line), Reason: fmt.Errorf("%q is given twice: give it once", key.Value)}
		}
		list, err := nodeValues(o, node)
		if err != nil {
			return nil, &Problem{Origin: at(node.Line) + ": " + o.Name, Reason: err}
		}
		values[key.Value] = fileValue{values: list, origin: at(key.Line)}
	}
	return values, nil
}

// nodeValues turns a YAML value into what a setter takes: one text, or for a
// list a sequence of texts or a mapping of KEY: VALUE.
func nodeValues(o Option, node *yaml.Node) ([]string, error) {
	switch {
	case node.Kind == yaml.ScalarNode && node.Tag == "!!null":
		return nil, errors.New("has no value: write one after the colon, or remove the line")
	case node.Kind == yaml.ScalarNode:
		return []string{node.Value}, nil
	case o.List && node.Kind == yaml.SequenceNode, o.Pairs && node.Kind == yaml.MappingNode:
		if !allScalars(node.Content) {
			return nil, errors.New("holds more than plain values: write one text for each")
		}
	default:
		return nil, errors.New("takes one plain value: write it after the colon")
	}
	var list []string
	if node.Kind == yaml.SequenceNode {
		for _, item := range node.Content {
			list = append(list, item.Value)
		}
		return list, nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		list = append(list, node.Content[i].Value+"="+node.Content[i+1].Value)
	}
	return list, nil
}

func allScalars(nodes []*yaml.Node) bool {
	for _, n := range nodes {
		if n.Kind != yaml.ScalarNode {
			return false
		}
	}
	return true
}

func find(options []Option, name string) (Option, bool) {
	for _, o := range options {
		if o.Name == name {
			return o, true
		}
	}
	return Option{}, false
}

func names(options []Option) []string {
	list := make([]string, len(options))
	for i, o := range options {
		list[i] = o.Name
	}
	return list
}
