package image

// Packed is one record in little memory, for those who hold a cloud's worth of them.
// It is a value that never changes. The zero value is no record: its ID is "".
type Packed struct{ img *Image }

// Pack packs a record.
func Pack(img Image) Packed { return Packed{img: &img} }

// ID returns the image's id.
func (p Packed) ID() string {
	if p.img == nil {
		return ""
	}
	return p.img.ID
}

// Unpack returns the record that was packed. Its slices and its map may be shared with
// others, as those of every Image.
func (p Packed) Unpack() Image {
	if p.img == nil {
		return Image{}
	}
	return *p.img
}
