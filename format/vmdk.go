package format

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// Parts of a VMDK, in bytes unless said otherwise.
const (
	vmdkMagic        = "KDMV"
	vmdkHeader       = 512                     // a sparse extent's header, one sector
	vmdkText         = "# disk descriptorfile" // first line of a descriptor, compared in lower case
	vmdkDescriptor   = sectorSize              // where every writer puts the embedded descriptor, and where QEMU looks for the parent whatever the header says
	vmdkTextMax      = 1 << 20                 // longest descriptor read; QEMU's limit too
	vmdkGrainsAtEnd  = ^uint64(0)              // grain directory offset: see the footer
	vmdkFooterOffset = 2 * sectorSize          // from the end: the footer, then one end-of-stream marker
	vmdkNoParent     = "ffffffff"              // parentCID of a disk without a parent
)

// isSparseVMDK recognises the header of a sparse extent, also of a
// streamOptimized one.
func isSparseVMDK(head []byte) bool {
	if len(head) < vmdkHeader || string(head[:4]) != vmdkMagic {
		return false
	}
	version := binary.LittleEndian.Uint32(head[4:])
	return version >= 1 && version <= 3
}

// isDescriptorVMDK recognises a descriptor on its own: a text that names the
// files where the data are.
func isDescriptorVMDK(head []byte) bool {
	head = bytes.TrimLeft(head, " \t\r\n")
	return len(head) >= len(vmdkText) && strings.EqualFold(string(head[:len(vmdkText)]), vmdkText)
}

// checkVMDK refuses a VMDK that is not whole by itself.
func checkVMDK(s source) error {
	head, err := s.at(0, vmdkHeader)
	switch {
	case err != nil:
		return err
	case isDescriptorVMDK(head):
		return &Refused{"the vmdk is a descriptor whose data are in other files; convert it first (qemu-img convert -O vmdk -o subformat=streamOptimized)"}
	case !isSparseVMDK(head):
		return nil // not a vmdk at all: for the service to judge
	}
	headers := [][]byte{head}
	if binary.LittleEndian.Uint64(head[56:]) == vmdkGrainsAtEnd {
		footer, err := s.at(s.size-vmdkFooterOffset, vmdkHeader)
		if err != nil {
			return err
		}
		if !isSparseVMDK(footer) {
			return &Refused{"the vmdk is damaged (no footer)"}
		}
		headers = append(headers, footer)
	}
	// A reader may believe any of these, so each must be harmless.
	offsets := []int64{vmdkDescriptor}
	for _, h := range headers {
		capacity, sector := binary.LittleEndian.Uint64(h[12:]), binary.LittleEndian.Uint64(h[28:])
		if capacity == 0 && sector != 0 {
			return &Refused{"the vmdk has no data of its own, its descriptor names other files"}
		}
		if sector > uint64(s.size)/sectorSize {
			return &Refused{"the vmdk header is damaged (descriptor)"}
		}
		if off := int64(sector) * sectorSize; off != 0 && off != offsets[len(offsets)-1] {
			offsets = append(offsets, off)
		}
	}
	for _, off := range offsets {
		text, err := s.at(off, vmdkTextMax)
		if err != nil {
			return err
		}
		text, _, _ = bytes.Cut(text, []byte{0})
		if err := checkDescriptor(string(text)); err != nil {
			return err
		}
	}
	return nil
}

// checkDescriptor refuses an embedded descriptor that leads to another file. Its
// one extent names the file that it is in (by the name it once had), so that the
// name says nothing; its type and number do.
func checkDescriptor(text string) error {
	text = strings.ToLower(text)
	// QEMU looks for this word anywhere, in comments too.
	if strings.Contains(text, "parentfilenamehint") {
		return &Refused{"the vmdk has a parent; flatten it first (qemu-img convert)"}
	}
	if !strings.HasPrefix(text, vmdkText) {
		return nil // not a descriptor: data, or nothing
	}
	extents := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		key, value, _ := strings.Cut(line, "=")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch strings.TrimSpace(key) {
		case "parentcid":
			if value != vmdkNoParent {
				return &Refused{"the vmdk has a parent; flatten it first (qemu-img convert)"}
			}
		case "createtype":
			if value != "monolithicsparse" && value != "streamoptimized" {
				return &Refused{"the vmdk is of a type whose data are in other files; convert it first (qemu-img convert -O vmdk -o subformat=streamOptimized)"}
			}
		}
		word := strings.Fields(line)
		if len(word) < 3 || (word[0] != "rw" && word[0] != "rdonly" && word[0] != "noaccess") {
			continue
		}
		if extents++; extents > 1 || word[2] != "sparse" {
			return &Refused{"the vmdk has extents in other files; convert it first (qemu-img convert -O vmdk -o subformat=streamOptimized)"}
		}
	}
	return nil
}
