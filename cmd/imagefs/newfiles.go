package main

import (
	"github.com/imagefs/imagefs/config"
	"github.com/imagefs/imagefs/image"
)

// newFiles knows whether the mount shows what is made there. A program that makes a
// file goes on with it (rsync renames it): one that is gone when it is closed would be
// left in the service under a name that nobody asked for.
type newFiles struct {
	filter  image.Filter
	empty   image.Filter // of an image without data
	project string
	begins  image.Image // what a new image begins with
}

func newFilesOf(c config.Config, project string) newFiles {
	begins := image.Image{Status: image.StatusActive, Owner: project, Visibility: c.NewVisibility, Tags: c.NewTags}
	if begins.Visibility == "" {
		begins.Visibility = image.VisibilityShared // the service's choice
	}
	f := newFiles{filter: c.Filter, project: project, begins: begins}
	f.empty = image.Filter{Statuses: c.Filter.Statuses, Formats: c.Filter.Formats}
	f.filter.Formats = nil // what it is only its bytes tell
	if project == "" {
		f.filter.Owner = "" // so is whose it is
	}
	return f
}

// check refuses a file whose image would not show. The error is of kind NotPermitted.
func (f newFiles) check(name string) error {
	img := f.begins
	img.Name = name
	if f.filter.Shows(&img, f.project) {
		return nil
	}
	return &image.Error{Op: "create", Image: name, Kind: image.NotPermitted,
		Detail: "the mount would not show it: its options choose other names, tags (see --new-tag), visibilities (see --new-visibility), projects or statuses"}
}

// checkEmpty refuses a file that ends without bytes where its image would not show for
// that; set is what was set of the image. What else was chosen of it, a name or tags,
// whoever made the file has chosen. The error is of kind NotPermitted.
func (f newFiles) checkEmpty(name string, set image.Settings) error {
	img := image.Image{Status: image.StatusQueued}
	if set.DiskFormat != nil {
		img.DiskFormat = *set.DiskFormat
	}
	if f.empty.Shows(&img, "") {
		return nil
	}
	return &image.Error{Op: "close", Image: name, Kind: image.NotPermitted,
		Detail: "an image without data is queued and has no disk format, and --status or --format choose others", Err: image.ErrUnshown}
}

// note tells the user of a mount where no file can be made; "" elsewhere.
func (f newFiles) note() string {
	f.filter.Name = ""
	if f.check("") == nil {
		return ""
	}
	return "no file can be made there, for the options would not show it: give --new-tag or --new-visibility to match, or --read-only"
}
