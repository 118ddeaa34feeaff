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
	return fmt.Sprintf("%s: %s%s", t.Name, progress(t.Done, t.Size, t.Seconds), t.doing())
}

// doing is why its bytes do not move, behind a comma; "" where they do.
func (t Transfer) doing() string {
	if t.Paused {
		return ", paused"
	}
	return ""
}

// progress says how far it is, how fast and how long still: at the pace that it had so far.
func progress(done, size int64, elapsed float64) string {
	text := fmt.Sprintf("%s of %s", bytes(done), bytes(size))
	if size > 0 {
		text += fmt.Sprintf(" (%d%%)", done*100/size)
	}
	rate, left := pace(done, size, elapsed)
	for _, word := range []string{rate, left} {
		if word != "" {
			text += ", " + word
		}
	}
	return text
}

// longest, in seconds, is how long something may take still that is told: 100 days. Beyond,
// nobody waits.
const longest = 100 * 24 * 60 * 60

// pace is how fast it went so far, and how long it takes still; "" for what nobody can tell.
func pace(done, size int64, elapsed float64) (rate, left string) {
	if elapsed < 1 || done <= 0 {
		return "", ""
	}
	if rest := elapsed * float64(max(size-done, 0)) / float64(done); rest > 0 && rest < longest {
		left = seconds(rest) + " left"
	}
	return bytes(int64(float64(done)/elapsed)) + "/s", left
}

// barWidth, in characters, leaves a line of 80 its name, numbers and pace.
const barWidth = 10

// bar draws how far it is, in so many characters and two brackets.
func bar(done, size int64, width int) string {
	filled := 0
	if size > 0 {
		filled = int(float64(max(0, min(done, size))) / float64(size) * float64(width))
	}
	return "[" + strings.Repeat("#", filled) + strings.Repeat(".", width-filled) + "]"
}
