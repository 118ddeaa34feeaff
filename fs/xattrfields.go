package fs

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imagefs/imagefs/image"
)

// Fields of the record, in the service's words, that need more than to be set.
const (
	fieldVisibility      = "visibility"
	fieldHidden          = "os_hidden"
	fieldProtected       = "protected"
	fieldDiskFormat      = "disk_format"
	fieldContainerFormat = "container_format"
)

// field is one attribute of every image.
type field struct {
	get func(image.Image) string
	// set is the record's field in the service's words, and read makes a value for it of
	// a text; "" and nil where the attribute is the service's own.
	set  string
	read func(text string) (any, error)
}

// fields are the attributes below user.image., without the properties.
var fields = map[string]field{
	"id":               {get: func(i image.Image) string { return i.ID }},
	"status":           {get: func(i image.Image) string { return string(i.Status) }},
	"visibility":       {func(i image.Image) string { return string(i.Visibility) }, fieldVisibility, visibility},
	"disk_format":      {func(i image.Image) string { return i.DiskFormat }, fieldDiskFormat, format},
	"container_format": {func(i image.Image) string { return i.ContainerFormat }, fieldContainerFormat, format},
	"hidden":           {func(i image.Image) string { return strconv.FormatBool(i.Hidden) }, fieldHidden, boolean},
	"virtual_size":     {get: func(i image.Image) string { return strconv.FormatInt(i.VirtualSize, 10) }},
	"stores":           {get: func(i image.Image) string { return strings.Join(i.Stores, ",") }},
	"checksum":         {get: func(i image.Image) string { return i.Checksum }},
	"os_hash_algo":     {get: func(i image.Image) string { return i.HashAlgo }},
	"os_hash_value":    {get: func(i image.Image) string { return i.HashValue }},
	"owner":            {get: func(i image.Image) string { return i.Owner }},
	"protected":        {func(i image.Image) string { return strconv.FormatBool(i.Protected) }, fieldProtected, boolean},
	"tags":             {func(i image.Image) string { return joinTags(i.Tags) }, "tags", splitTags},
	"min_disk":         {func(i image.Image) string { return strconv.FormatInt(i.MinDisk, 10) }, "min_disk", number},
	"min_ram":          {func(i image.Image) string { return strconv.FormatInt(i.MinRAM, 10) }, "min_ram", number},
	"created_at":       {get: func(i image.Image) string { return i.CreatedAt.UTC().Format(time.RFC3339) }},
	"updated_at":       {get: func(i image.Image) string { return i.UpdatedAt.UTC().Format(time.RFC3339) }},
}

func visibility(v string) (any, error) {
	switch image.Visibility(v) {
	case image.VisibilityPrivate, image.VisibilityShared, image.VisibilityCommunity, image.VisibilityPublic:
		return v, nil
	}
	return nil, errors.New("it is one of private, shared, community and public")
}

// format reads the name of a format. Which there are, the service knows.
func format(v string) (any, error) {
	odd := func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-_.", r) }
	if v == "" || strings.ContainsFunc(v, odd) {
		return nil, errors.New("it is no name of a format")
	}
	return v, nil
}

func boolean(v string) (any, error) {
	b, err := strconv.ParseBool(v)
	if err != nil {
		return nil, errors.New("it is true or false")
	}
	return b, nil
}

func number(v string) (any, error) {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt32 {
		return nil, fmt.Errorf("it is a whole number from 0 to %d", math.MaxInt32)
	}
	return n, nil
}

// Tags are separated by commas, and spaces around those are for the eye. So a comma of a
// tag is written %2C, a space at its end %20, and a percent sign before 2C, 20 or 25, which
// would be taken for one of these, %25. Their order means nothing.
var (
	tagWriter = strings.NewReplacer("%2C", "%252C", "%20", "%2520", "%25", "%2525", ",", "%2C")
	tagReader = strings.NewReplacer("%2C", ",", "%20", " ", "%25", "%")
)

const tagSpace = "%20"

func joinTags(tags []string) string {
	all := slices.Clone(tags)
	for i, tag := range all {
		tag = tagWriter.Replace(tag)
		if rest, ok := strings.CutPrefix(tag, " "); ok {
			tag = tagSpace + rest
		}
		if rest, ok := strings.CutSuffix(tag, " "); ok {
			tag = rest + tagSpace
		}
		all[i] = tag
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

func splitTags(v string) (any, error) {
	list := []string{}
	for tag := range strings.SplitSeq(v, ",") {
		if tag = tagReader.Replace(strings.Trim(tag, " ")); tag != "" {
			list = append(list, tag)
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}
