package image

import (
	"maps"
	"slices"
)

// Rename is a rename over another image as far as it has got: enough to finish it, or
// to take it back, after a crash. It is a value.
type Rename struct {
	Image Image  // what is renamed, as it was before
	Name  string // that it gets
	// Over is what has the name and is retired, as it was before; nil where only a
	// draft has it.
	Over *Image
	// Attributes is the text of PropertyAttributes that Image gets together with the
	// name; "" without Over.
	Attributes string
	// Members are those of Image as they were, once Noted: before they are changed.
	Members []Member
	Noted   bool
	// Undone: the service has refused it, or not answered while a draft of Image, or one that
	// has the name, keeps what it has. Image becomes again what it was.
	Undone bool
	// Ended: the service has been asked for everything, and of an earlier run's rename only
	// its drafts are left to follow. Named then says whether Image has got the name.
	Ended, Named bool
}

// Carried reports whether now, a later record of r.Image, has what the rename gives it
// in its first request, which is one change or none.
func (r Rename) Carried(now Image) bool {
	if now.Name != r.Name {
		return false
	}
	// One of two images of a name that takes the other's place has had the name before.
	return r.Image.Name != r.Name || r.Over == nil || r.placed(now)
}

// placed reports whether now has the place among images of one name that the rename gives
// it. What else was set since does not count.
func (r Rename) placed(now Image) bool {
	given := Image{ID: r.Image.ID, Properties: map[string]string{PropertyAttributes: r.Attributes}}.Attributes().Created
	has := now.Attributes().Created
	return given != nil && has != nil && has.Equal(*given)
}

// Untouched reports whether now, a later record of r.Over, is what the rename meant to
// retire: nobody has changed what a successor takes over of it. What imagefs and the
// service keep there by themselves does not count; whether it may be replaced,
// Replaceable says.
func (r Rename) Untouched(now Image) bool {
	was := r.Over
	tags := func(i Image) []string { return slices.Compact(slices.Sorted(slices.Values(i.Tags))) }
	return was != nil && now.ID == was.ID && now.Name == was.Name && now.Owner == was.Owner &&
		now.Visibility == was.Visibility && now.Hidden == was.Hidden &&
		now.DiskFormat == was.DiskFormat && now.ContainerFormat == was.ContainerFormat &&
		now.MinDisk == was.MinDisk && now.MinRAM == was.MinRAM && now.CreatedAt.Equal(was.CreatedAt) &&
		slices.Equal(tags(now), tags(*was)) && maps.Equal(now.CarriedProperties(), was.CarriedProperties())
}
