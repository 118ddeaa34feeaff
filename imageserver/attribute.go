package imageserver

// text returns an attribute that is text, nil when it is null.
func (r *record) text(name string) *string {
	switch name {
	case "name":
		return r.Name
	case "id":
		return &r.ID
	case "status":
		return (*string)(&r.Status)
	case "container_format":
		return r.ContainerFormat
	case "disk_format":
		return r.DiskFormat
	case "owner":
		return r.Owner
	case "checksum":
		return r.Checksum
	case "os_hash_algo":
		return r.HashAlgo
	case "os_hash_value":
		return r.HashValue
	}
	return nil
}

func isNumber(name string) bool {
	return name == "size" || name == "virtual_size" || name == "min_disk" || name == "min_ram"
}

// number returns an attribute that is a number, nil when it is null.
func (r *record) number(name string) *int64 {
	switch name {
	case "size":
		return r.Size
	case "virtual_size":
		return r.VirtualSize
	case "min_disk":
		return &r.MinDisk
	case "min_ram":
		return &r.MinRAM
	}
	return nil
}
