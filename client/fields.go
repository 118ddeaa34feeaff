package client

// field is a key of a record that the Image API defines. Any other key is a custom
// property.
type field int

const (
	fieldID field = iota
	fieldName
	fieldStatus
	fieldVisibility
	fieldOwner
	fieldDiskFormat
	fieldContainerFormat
	fieldChecksum
	fieldHashAlgo
	fieldHashValue
	fieldSize
	fieldVirtualSize
	fieldMinDisk
	fieldMinRAM
	fieldProtected
	fieldHidden
	fieldCreatedAt
	fieldUpdatedAt
	fieldTags
	fieldStores
	// Links are left out, and so are locations, which can hold secrets of the store.
	fieldSelf
	fieldFile
	fieldSchema
	fieldLocations
	fieldDirectURL
	fieldCount // how many there are
)

var fieldNames = [fieldCount]string{
	fieldID: "id", fieldName: "name", fieldStatus: "status", fieldVisibility: "visibility", fieldOwner: "owner",
	fieldDiskFormat: "disk_format", fieldContainerFormat: "container_format",
	fieldChecksum: "checksum", fieldHashAlgo: "os_hash_algo", fieldHashValue: "os_hash_value",
	fieldSize: "size", fieldVirtualSize: "virtual_size", fieldMinDisk: "min_disk", fieldMinRAM: "min_ram",
	fieldProtected: "protected", fieldHidden: "os_hidden", fieldCreatedAt: "created_at", fieldUpdatedAt: "updated_at",
	fieldTags: "tags", fieldStores: "stores",
	fieldSelf: "self", fieldFile: "file", fieldSchema: "schema", fieldLocations: "locations", fieldDirectURL: "direct_url",
}

// fields are the keys that are no custom properties.
var fields = func() map[string]field {
	all := make(map[string]field, fieldCount)
	for f, name := range fieldNames {
		all[name] = field(f)
	}
	return all
}()
