package client

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/image"
)

// fullRecord is an answer of a real Glance, with an import's and a store's keys.
const fullRecord = `{"hw_disk_bus": "scsi", "a/b~": "2", "name": "n", "disk_format": "raw", "container_format": "bare",
 "visibility": "shared", "size": 5000000, "virtual_size": 6000000, "status": "active", "checksum": "86", "protected": true,
 "min_ram": 3, "min_disk": 4, "owner": "e4", "os_hidden": true, "os_hash_algo": "sha512", "os_hash_value": "9b",
 "id": "49c50cf9-c305-4e05-a077-ba89ea53dafd", "created_at": "2026-11-22T00:38:57Z", "updated_at": "2026-11-22T02:38:58+02:00",
 "tags": ["a", "b"], "self": "/v2/images/x", "file": "/v2/images/x/file", "schema": "/v2/schemas/image", "stores": "fast,slow",
 "direct_url": "rbd://secret", "locations": [{"url": "swift://user:secret@x", "metadata": {}}],
 "os_glance_failed_import": "", "number": 7, "flag": true, "nothing": null, "object": {"a": [1, 2]}}`

func TestParseRecord(t *testing.T) {
	got, err := parseRecord([]byte(fullRecord))
	if err != nil {
		t.Fatal(err)
	}
	want := image.Image{
		ID: "49c50cf9-c305-4e05-a077-ba89ea53dafd", Name: "n", Status: image.StatusActive, Visibility: image.VisibilityShared, Owner: "e4",
		DiskFormat: "raw", ContainerFormat: "bare", Size: 5000000, VirtualSize: 6000000, Checksum: "86", HashAlgo: "sha512", HashValue: "9b",
		MinDisk: 4, MinRAM: 3, Protected: true, Hidden: true, Tags: []string{"a", "b"}, Stores: []string{"fast", "slow"},
		CreatedAt: time.Date(2026, 11, 22, 0, 38, 57, 0, time.UTC), UpdatedAt: time.Date(2026, 11, 22, 0, 38, 58, 0, time.UTC),
		Properties: map[string]string{"hw_disk_bus": "scsi", "a/b~": "2", "os_glance_failed_import": "", "number": "7", "flag": "true", "object": `{"a":[1,2]}`},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseRecordForms(t *testing.T) {
	with := func(more string) string { return record(someID, "")[:len(record(someID, ""))-1] + more + "}" }
	for text, ok := range map[string]bool{
		with(``): true,
		with(`, "name": null, "tags": null, "checksum": null, "owner": null`):  true,
		with(`, "created_at": "2026-11-22T00:38:57"`):                          true,
		with(`, "created_at": "2026-11-22T00:38:57.123456Z"`):                  true,
		with(`, "created_at": null`):                                           true,
		with(`, "created_at": "yesterday"`):                                    false,
		with(`, "created_at": 5`):                                              false,
		with(`, "size": -1`):                                                   false,
		with(`, "size": 1.5`):                                                  false,
		with(`, "size": 1e3`):                                                  false,
		with(`, "size": "5"`):                                                  false,
		with(`, "size": 9223372036854775807`):                                  true,
		with(`, "size": 9223372036854775808`):                                  false,
		with(`, "protected": "yes"`):                                           false,
		with(`, "name": 5`):                                                    false,
		with(`, "tags": "a"`):                                                  false,
		with(`, "tags": [5]`):                                                  false,
		with(`, "stores": ["a"]`):                                              false,
		with(`, "status": ""`):                                                 false,
		with(`, "status": null`):                                               false,
		`{"id": "49C50CF9-C305-4E05-A077-BA89EA53DAFD", "status": "active"}`:   true,
		`{"id": "{49c50cf9-c305-4e05-a077-ba89ea53dafd}", "status": "active"}`: false,
		`{"id": "49c50cf9c3054e05a077ba89ea53dafd", "status": "active"}`:       false,
		`{"id": "../../../../etc/passwd/000000000000", "status": "active"}`:    false,
		`{"status": "active"}`:                                                 false,
		`[]`:                                                                   false,
		`null`:                                                                 false,
		``:                                                                     false,
	} {
		if got, err := parseRecord([]byte(text)); (err == nil) != ok {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

// recordSeeds are records for fuzzing, some of them odd.
var recordSeeds = []string{
	fullRecord, record(someID, ""), `{"id": 5}`, `null`, `[[[[`, `{"a":1,"a":null,"b":{"c":[1, "\u00e9\ud800"]}}`,
	record(someID, `, "size": "no", "size": 5, "tags": [null, "\u0041"], "na\u006de": "escaped", "x": "a\"b"`),
	record(someID, ", \"x\": \"\xff\xc3\", \"\xfe\": 1, \"\xff\": -0.5e+7"),
	record(someID, `, "stores": ",a,,b", "stores": null, "created_at": "2026-11-22T00:38:57.5+02:00", "tags": []`),
}

// FuzzRecord: whatever a service answers, a record is what encoding/json makes of
// it, and sound.
func FuzzRecord(f *testing.F) {
	for _, seed := range recordSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		img, err := parseRecord(data)
		want, wantErr := slowRecord(data)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("error %v, want %v", err, wantErr)
		}
		if err != nil {
			return
		}
		if diff := cmp.Diff(want, img); diff != "" {
			t.Error(diff)
		}
		if !validID(img.ID) || img.Status == "" || img.Size < 0 || img.VirtualSize < 0 || img.MinDisk < 0 || img.MinRAM < 0 {
			t.Errorf("let through: %+v", img)
		}
		for key := range img.Properties {
			if _, taken := fields[key]; taken {
				t.Errorf("field %s is a property", key)
			}
		}
		if img.CreatedAt.Location() != time.UTC || img.CreatedAt.Nanosecond() != 0 {
			t.Errorf("time %v", img.CreatedAt)
		}
	})
}
