package image

import (
	"maps"
	"slices"
)

// The fields of a record that can be set before it is there, in the service's words.
const (
	fieldVisibility      = "visibility"
	fieldHidden          = "os_hidden"
	fieldProtected       = "protected"
	fieldMinDisk         = "min_disk"
	fieldMinRAM          = "min_ram"
	fieldDiskFormat      = "disk_format"
	fieldContainerFormat = "container_format"
	fieldTags            = "tags"
)

// Settings are what was set of the record of an image that is not there yet: a draft
// keeps them until its commit. A nil field was not set. It is a value: what its
// pointers and its map lead to is never changed.
type Settings struct {
	Visibility      *Visibility `json:"visibility,omitempty"`
	Hidden          *bool       `json:"hidden,omitempty"`
	Protected       *bool       `json:"protected,omitempty"`
	MinDisk         *int64      `json:"min_disk,omitempty"` // GiB
	MinRAM          *int64      `json:"min_ram,omitempty"`  // MiB
	DiskFormat      *string     `json:"disk_format,omitempty"`
	ContainerFormat *string     `json:"container_format,omitempty"`
	Tags            *[]string   `json:"tags,omitempty"`
	// Properties are custom properties; nil: the image is not to have that one.
	Properties map[string]*string `json:"properties,omitempty"`
}

// IsZero reports whether nothing was set.
func (s Settings) IsZero() bool {
	return s.Visibility == nil && s.Hidden == nil && s.Protected == nil && s.MinDisk == nil && s.MinRAM == nil &&
		s.DiskFormat == nil && s.ContainerFormat == nil && s.Tags == nil && len(s.Properties) == 0
}

// With returns s with the change on top. One of a field that is not among these changes
// nothing.
func (s Settings) With(c Change) Settings {
	if c.Property {
		s.Properties = maps.Clone(s.Properties)
		if s.Properties == nil {
			s.Properties = make(map[string]*string, 1)
		}
		s.Properties[c.Field] = as[string](c.Value)
		return s
	}
	switch c.Field {
	case fieldVisibility:
		s.Visibility = nil
		if v := as[string](c.Value); v != nil {
			s.Visibility = as[Visibility](Visibility(*v))
		}
	case fieldHidden:
		s.Hidden = as[bool](c.Value)
	case fieldProtected:
		s.Protected = as[bool](c.Value)
	case fieldMinDisk:
		s.MinDisk = as[int64](c.Value)
	case fieldMinRAM:
		s.MinRAM = as[int64](c.Value)
	case fieldDiskFormat:
		s.DiskFormat = as[string](c.Value)
	case fieldContainerFormat:
		s.ContainerFormat = as[string](c.Value)
	case fieldTags:
		s.Tags = as[[]string](c.Value)
	}
	return s
}

// as returns a pointer to a value of the type, nil where it is none.
func as[T any](v any) *T {
	if v, ok := v.(T); ok {
		return &v
	}
	return nil
}

// Without returns s as if what the change changes had never been set.
func (s Settings) Without(c Change) Settings {
	if !c.Property {
		return s.With(Change{Field: c.Field})
	}
	if _, has := s.Properties[c.Field]; has {
		s.Properties = maps.Clone(s.Properties)
		delete(s.Properties, c.Field)
	}
	return s
}

// Over returns the record as it is with what was set.
func (s Settings) Over(img Image) Image {
	over(&img.Visibility, s.Visibility)
	over(&img.Hidden, s.Hidden)
	over(&img.Protected, s.Protected)
	over(&img.MinDisk, s.MinDisk)
	over(&img.MinRAM, s.MinRAM)
	over(&img.DiskFormat, s.DiskFormat)
	over(&img.ContainerFormat, s.ContainerFormat)
	over(&img.Tags, s.Tags)
	img.Properties = s.properties(img.Properties)
	return img
}

// Create returns the create request with what was set, but for what has to wait: a
// protected record could not be taken back, and whether it is hidden in the end the
// commit knows.
func (s Settings) Create(n New) New {
	over(&n.Visibility, s.Visibility)
	over(&n.MinDisk, s.MinDisk)
	over(&n.MinRAM, s.MinRAM)
	over(&n.DiskFormat, s.DiskFormat)
	over(&n.ContainerFormat, s.ContainerFormat)
	over(&n.Tags, s.Tags)
	n.Properties = s.properties(n.Properties)
	return n
}

func over[T any](to, set *T) {
	if set != nil {
		*to = *set
	}
}

func (s Settings) properties(of map[string]string) map[string]string {
	if len(s.Properties) == 0 {
		return of
	}
	all := maps.Clone(of)
	if all == nil {
		all = make(map[string]string, len(s.Properties))
	}
	for name, value := range s.Properties {
		if value == nil {
			delete(all, name)
		} else {
			all[name] = *value
		}
	}
	return all
}

// Missing returns the changes that bring what was set to the record, but for the
// formats, which cannot be changed once there are bytes.
func (s Settings) Missing(img Image) []Change {
	var all []Change
	field := func(name string, differs bool, value any) {
		if differs {
			all = append(all, Change{Field: name, Value: value})
		}
	}
	if s.Visibility != nil {
		field(fieldVisibility, *s.Visibility != img.Visibility, string(*s.Visibility))
	}
	if s.Hidden != nil {
		field(fieldHidden, *s.Hidden != img.Hidden, *s.Hidden)
	}
	if s.Protected != nil {
		field(fieldProtected, *s.Protected != img.Protected, *s.Protected)
	}
	if s.MinDisk != nil {
		field(fieldMinDisk, *s.MinDisk != img.MinDisk, *s.MinDisk)
	}
	if s.MinRAM != nil {
		field(fieldMinRAM, *s.MinRAM != img.MinRAM, *s.MinRAM)
	}
	if s.Tags != nil {
		field(fieldTags, !slices.Equal(sortedSet(*s.Tags), sortedSet(img.Tags)), *s.Tags)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		value := s.Properties[name]
		now, has := img.Properties[name]
		switch {
		case value != nil && (!has || now != *value):
			all = append(all, Change{Field: name, Property: true, Value: *value})
		case value == nil && has:
			all = append(all, Change{Field: name, Property: true})
		}
	}
	return all
}

// MissingSince is Missing of a record to which given was brought before: what others have
// changed of that since is theirs.
func (s Settings) MissingSince(given Settings, img Image) []Change {
	since := s.Missing(given.Over(img))
	return slices.DeleteFunc(s.Missing(img), func(c Change) bool {
		return !slices.ContainsFunc(since, func(o Change) bool { return o.Field == c.Field && o.Property == c.Property })
	})
}

// Shows reports whether the record has all that was set.
func (s Settings) Shows(img Image) bool {
	return len(s.Missing(img)) == 0 && (s.DiskFormat == nil || *s.DiskFormat == img.DiskFormat) &&
		(s.ContainerFormat == nil || *s.ContainerFormat == img.ContainerFormat)
}

// sortedSet is what tags are to the service.
func sortedSet(tags []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(tags)))
}

// Leave returns the changes without those of what was set.
func (s Settings) Leave(changes []Change) []Change {
	return slices.DeleteFunc(slices.Clone(changes), func(c Change) bool { return s.Sets(c) })
}

// Sets reports whether what the change changes was set.
func (s Settings) Sets(c Change) bool {
	if c.Property {
		_, has := s.Properties[c.Field]
		return has
	}
	switch c.Field {
	case fieldVisibility:
		return s.Visibility != nil
	case fieldHidden:
		return s.Hidden != nil
	case fieldProtected:
		return s.Protected != nil
	case fieldMinDisk:
		return s.MinDisk != nil
	case fieldMinRAM:
		return s.MinRAM != nil
	case fieldDiskFormat:
		return s.DiskFormat != nil
	case fieldContainerFormat:
		return s.ContainerFormat != nil
	case fieldTags:
		return s.Tags != nil
	}
	return false
}
