package metrics

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Kept is a draft in the staging directory as `imagefs staged list` shows it. Its JSON
// keys are a promise to scripts: keys are added, never renamed.
type Kept struct {
	ID        string    `json:"draft"`
	Name      string    `json:"name"`
	State     string    `json:"state"`
	Reason    string    `json:"reason,omitempty"`
	Size      int64     `json:"size_bytes"`
	Stored    int64     `json:"stored_bytes"` // on the local disk
	Created   time.Time `json:"created"`
	Updated   time.Time `json:"updated"`
	Age       float64   `json:"age_seconds"` // since Updated
	Path      string    `json:"path"`        // of the bytes; over a base only those that were written
	Base      string    `json:"base,omitempty"`
	Image     string    `json:"image,omitempty"` // what a commit may have left at the service
	Uncertain bool      `json:"uncertain"`       // bytes may be missing
	Service   string    `json:"service"`
	Cloud     string    `json:"cloud,omitempty"`
	Project   string    `json:"project,omitempty"`
}

// shortID, in characters, tells the drafts of one host apart; where it does not, they
// are shown with their whole id.
const shortID = 8

// WriteKept writes drafts for people, those of one service below each other.
func WriteKept(w io.Writer, all []Kept) error {
	var b strings.Builder
	if len(all) == 0 {
		b.WriteString("no drafts\n")
	}
	seen := map[string]int{}
	for _, k := range all {
		seen[short(k.ID)]++
	}
	service := ""
	for _, k := range all {
		if where := k.where(); where != service {
			fmt.Fprintf(&b, "%s\n", where)
			service = where
		}
		id := short(k.ID)
		if seen[id] > 1 {
			id = k.ID
		}
		name := k.Name
		if name == "" {
			name = "(no name)"
		}
		fmt.Fprintf(&b, "  %-*s  %-10s  %8s  %6s  %s\n", shortID, plain(id), plain(k.State), bytes(k.Size), seconds(k.Age), plain(name))
		if k.Reason != "" {
			fmt.Fprintf(&b, "  %*s  %s\n", shortID, "", plain(k.Reason))
		}
		fmt.Fprintf(&b, "  %*s  %s\n", shortID, "", plain(k.Path))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func short(id string) string { return id[:min(shortID, len(id))] }

func (k Kept) where() string {
	text := "unknown service"
	if k.Service != "" {
		text = plain(k.Service)
	}
	if k.Cloud != "" {
		text += ", cloud " + plain(k.Cloud)
	}
	if k.Project != "" {
		text += ", project " + plain(k.Project)
	}
	return text
}
