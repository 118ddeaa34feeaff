package config

import (
	"fmt"
	"path"
	"slices"
	"strconv"

	"github.com/imagefs/imagefs/image"
)

// filterOptions choose which images are shown.
func filterOptions() []Option {
	return []Option{
		{Name: "visibility", Arg: "VISIBILITY", Usage: "show only private, shared, community or public images",
			set: setFilterVisibility, get: func(c Config) string { return string(c.Filter.Visibility) }},
		{Name: "owner", Arg: "PROJECT", Usage: "show only images of the project with this id",
			set: text(func(c *Config) *string { return &c.Filter.Owner }), get: func(c Config) string { return c.Filter.Owner }},
		{Name: "tag", Arg: "TAG", Usage: "show only images with this tag (repeat: with all of them)", List: true,
			set: setFilterTags, all: func(c Config) []string { return c.Filter.Tags }},
		{Name: "name", Arg: "PATTERN", Usage: `show only images whose name matches, as a shell matches ("debian-1[23]*.qcow2")`,
			set: setPattern, get: func(c Config) string { return c.Filter.Name }},
		{Name: "status", Arg: "STATUS", Usage: "show only images in this status (repeat: in one of them)", List: true,
			set: words(func(c *Config) *[]image.Status { return &c.Filter.Statuses }, statuses()),
			all: func(c Config) []string { return texts(c.Filter.Statuses) }},
		{Name: "format", Arg: "FORMAT", Usage: "show only images of this disk format (repeat: of one of them)", List: true,
			set: words(func(c *Config) *[]string { return &c.Filter.Formats }, diskFormats()),
			all: func(c Config) []string { return c.Filter.Formats }},
		{Name: "hidden", Usage: "show hidden images, too",
			set: toggle(func(c *Config) *bool { return &c.Filter.Hidden }), get: func(c Config) string { return strconv.FormatBool(c.Filter.Hidden) }},
		{Name: "community", Usage: "show community images of other projects, too",
			set: toggle(func(c *Config) *bool { return &c.Filter.Community }), get: func(c Config) string { return strconv.FormatBool(c.Filter.Community) }},
		{Name: "member-status", Arg: "STATUS", Usage: "show shares of others that are pending, accepted, rejected or all (default accepted)",
			set: setMemberStatus, get: func(c Config) string { return c.Filter.MemberStatus }},
	}
}

// FilterNames are the names of the options that choose which images are shown.
func FilterNames() []string { return names(filterOptions()) }

// FilterFlags returns the options by which images are chosen, as a command line has
// them; none where all are shown that are shown by default.
func FilterFlags(c Config) []string {
	flags := []string{}
	for _, o := range filterOptions() {
		switch value := o.value(c); {
		case value == o.value(Config{}):
		case o.Arg == "":
			flags = append(flags, "--"+o.Name)
		case o.List:
			for _, one := range o.all(c) {
				flags = append(flags, "--"+o.Name+"="+one)
			}
		default:
			flags = append(flags, "--"+o.Name+"="+value)
		}
	}
	return flags
}

// statuses are the values of --status: those that a listing has.
func statuses() []string {
	return []string{
		string(image.StatusQueued), string(image.StatusSaving), string(image.StatusUploading), string(image.StatusImporting),
		string(image.StatusActive), string(image.StatusDeactivated),
	}
}

// diskFormats are the values of --format: those that the service knows unless it is
// configured otherwise.
func diskFormats() []string {
	return []string{"ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"}
}

func setFilterVisibility(c *Config, v []string) error {
	return oneVisibility(&c.Filter.Visibility, v[0])
}

func setFilterTags(c *Config, v []string) (err error) {
	c.Filter.Tags, err = tagsOf(v)
	return err
}

func setPattern(c *Config, v []string) error {
	if _, err := path.Match(v[0], ""); err != nil {
		return fmt.Errorf(`%q is not a pattern: close every [, and write \[, \? or \* for the character itself`, v[0])
	}
	c.Filter.Name = v[0]
	return nil
}

func setMemberStatus(c *Config, v []string) error {
	allowed := []string{image.MemberPending, image.MemberAccepted, image.MemberRejected, image.MemberAll}
	if v[0] == "" { // takes back what an earlier source said
		allowed = append(allowed, "")
	}
	return choice(func(c *Config) *string { return &c.Filter.MemberStatus }, allowed...)(c, v)
}

// words sets a list of some of the allowed words, each once.
func words[T ~string](field func(*Config) *[]T, allowed []string) func(*Config, []string) error {
	return func(c *Config, v []string) error {
		var list []T
		for _, word := range v {
			if !slices.Contains(allowed, word) {
				return fmt.Errorf("%q is unknown: use %s", word, oneOf(allowed))
			}
			if !slices.Contains(list, T(word)) {
				list = append(list, T(word))
			}
		}
		*field(c) = list
		return nil
	}
}

func texts[T ~string](words []T) []string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = string(w)
	}
	return list
}
