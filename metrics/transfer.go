package metrics

import (
	"fmt"
	"strings"
)

// The kinds of transfers.
const (
	TransferSpool  = "spool"  // an image of a store without ranges is read as one stream
	TransferWarm   = "warm"   // imagefs warm loads an image
	TransferVerify = "verify" // what is cached of an image is read and compared
)

// Transfer is bytes on their way that are not an upload.
type Transfer struct {
	Kind    string  `json:"kind"`
	Image   string  `json:"image"`      // id
	Name    string  `json:"name"`       // its entry; the id where that is not known
	Done    int64   `json:"done_bytes"` // of this try
	Size    int64   `json:"size_bytes"` // in all
	Seconds float64 `json:"seconds"`    // since it began
	Paused  bool    `json:"paused"`     // until somebody reads further
}

// text is one transfer in a few words.
func (t Transfer) text() string {
	text := fmt.Sprintf("%s: %s", t.Name, progress(t.Done, t.Size, t.Seconds))
	if t.Paused {
		text += ", paused"
	}
	return text
}

// progress says how far it is, how fast and how long still: at the pace that it had so far.
func progress(done, size int64, elapsed float64) string {
	text := fmt.Sprintf("%s of %s", bytes(done), bytes(size))
	if size > 0 {
		text += fmt.Sprintf(" (%d%%)", done*100/size)
	}
	if elapsed < 1 || done <= 0 {
		return text
	}
	text += fmt.Sprintf(", %s/s", bytes(int64(float64(done)/elapsed)))
	if left := size - done; left > 0 {
		text += fmt.Sprintf(", %s left", seconds(elapsed*float64(left)/float64(done)))
	}
	return text
}

// barWidth, in characters, leaves a line of 80 its name, numbers and pace.
const barWidth = 10

// bar draws how far it is.
func bar(done, size int64) string {
	filled := 0
	if size > 0 {
		filled = int(max(0, min(done, size)) * barWidth / size)
	}
	return "[" + strings.Repeat("#", filled) + strings.Repeat(".", barWidth-filled) + "]"
}
