package metrics

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

// WriteText writes the snapshot for people: one subject a line, a word in the
// first column. Text that came from the service, or from the daemon of another user,
// cannot move the cursor or begin a line.
func (s Snapshot) WriteText(w io.Writer) error {
	var b lines
	s.writeMount(&b)
	s.writeTrouble(&b)
	s.writeState(&b)
	s.writeMoving(&b)
	s.writeDrafts(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// lines are the text as it grows.
type lines struct{ strings.Builder }

func (l *lines) line(word, format string, args ...any) {
	fmt.Fprintf(l, "%-10s%s\n", word, plain(fmt.Sprintf(format, args...)))
}

func (s Snapshot) writeMount(b *lines) {
	b.line("mount", "%s (%s, %s)", s.Mountpoint, s.State, strings.Join(s.Options.words(), ", "))
	b.line("service", "%s", s.Service.text())
}

func (s Snapshot) writeTrouble(b *lines) {
	for _, t := range s.Service.Trouble {
		b.line("trouble", "%s", t.text(s.now()))
	}
}

// writeState writes what changes slowly.
func (s Snapshot) writeState(b *lines) {
	line := b.line
	line("daemon", "pid %d, up %s, imagefs %s, %s", s.PID, seconds(s.Uptime), s.Version, count(s.Goroutines, "goroutine", "goroutines"))
	line("memory", "%s resident, %s of it live on the heap", bytes(s.Memory.Resident), bytes(s.Memory.HeapLive))
	if s.LogFile != "" {
		line("log", "%s", s.LogFile)
	}
	if s.Metrics != "" {
		line("metrics", "%s", s.Metrics)
	}
	if len(s.Options.Filter) > 0 {
		line("chosen", "%s", strings.Join(s.Options.Filter, " "))
	}
	line("listing", "%s", s.Listing.text(s.Options.ListTTL))
	line("cache", "%s", s.Cache.text())
	if s.Cache.Disk != nil || s.Cache.Warning != "" {
		line("disk", "%s", s.Cache.diskText())
	}
	line("direct", "%s", s.Passthrough.text())
	line("open", "%s", count(s.Handles, "handle", "handles"))
	line("requests", "%s", s.Requests.text())
	line("bytes", "%s", s.bytesText())
	for _, l := range s.Logged.Last {
		text := fmt.Sprintf("%s ago: %s", seconds(s.now().Sub(l.Time).Seconds()), l.Message)
		if l.Name != "" && !strings.Contains(l.Error, " "+l.Name+":") { // as errors name what they are about
			text += ": " + l.Name
		}
		if l.Error != "" {
			text += ": " + l.Error
		}
		line(l.Level, "%s", text)
	}
}

// multipleChoices is what an Image API answers to the question for its versions, the
// first of each mount: nothing has failed.
const multipleChoices = "300"

// text is what became of all requests.
func (r RequestCounts) text() string {
	var all, refused, again int64
	for _, e := range r.Ended {
		all += e.Count
		if !strings.HasPrefix(e.Code, "2") && e.Code != multipleChoices {
			refused += e.Count
		}
	}
	for _, k := range r.Retried {
		again += k.Count
	}
	return fmt.Sprintf("%s in all, %s without success, %s made again", humanize.Comma(all), humanize.Comma(refused), humanize.Comma(again))
}

// bytesText is what has moved since the mount.
func (s Snapshot) bytesText() string {
	r := s.Cache.Read
	return fmt.Sprintf("%s read (%s in memory, %s on disk, %s waited for), %s fetched (%s in vain), %s sent",
		bytes(r.Memory+r.Disk+r.Service), bytes(r.Memory), bytes(r.Disk), bytes(r.Service), bytes(s.Cache.Fetched), bytes(s.Cache.Wasted), bytes(s.Commits.Sent))
}

// writeMoving writes whose bytes are on their way, or wait for that.
func (s Snapshot) writeMoving(b *lines) {
	if len(s.Uploads) == 0 {
		b.line("uploads", "none under way")
	}
	s.writeWriting(b)
	for _, u := range s.Uploads {
		b.line("upload", "%s %s", bar(u.Sent, u.Size, barWidth), u.Text())
	}
	for _, t := range s.Transfers {
		b.line(t.Kind, "%s %s", bar(t.Done, t.Size, barWidth), t.text())
	}
	s.writeWaiting(b)
}

func (s Snapshot) writeWriting(b *lines) {
	for _, w := range s.Writing {
		b.line("writing", "%s: %s so far", w.Name, bytes(w.Size))
	}
}

func (s Snapshot) writeWaiting(b *lines) {
	for _, w := range s.Waiting {
		b.line("waiting", "%s", w.Text(s.now()))
	}
}

func (s Snapshot) writeDrafts(b *lines) {
	if len(s.Drafts) == 0 {
		b.line("drafts", "none kept in %s", s.Options.StagingDir)
	}
	for _, d := range s.Drafts {
		b.line("draft", "%s", d.Text())
	}
}

// now is when the snapshot was taken.
func (s Snapshot) now() time.Time {
	return s.Started.Add(time.Duration(s.Uptime * float64(time.Second)))
}

func (t Trouble) text(now time.Time) string {
	fate := "requests wait for it"
	if t.Away {
		fate = "requests fail with it"
	}
	if t.Pause {
		return fmt.Sprintf("the %s service has asked for a pause: %s; next try in %s, requests that cannot wait so long fail", t.Service,
			t.Error, seconds(max(t.Next.Sub(now).Seconds(), 0)))
	}
	return fmt.Sprintf("the %s service has failed for %s: %s; next try in %s, %s", t.Service, seconds(now.Sub(t.Since).Seconds()),
		t.Error, seconds(max(t.Next.Sub(now).Seconds(), 0)), fate)
}

func (o Options) words() []string {
	words := []string{"read-write"}
	if o.ReadOnly {
		words[0] = "read-only"
	}
	if o.AllowOther {
		words = append(words, "allow-other")
	}
	if o.Writeback {
		words = append(words, "writeback")
	}
	if o.WriteAllProjects {
		words = append(words, "write-all-projects")
	}
	return append(words, fmt.Sprintf("uid %d, gid %d", o.UID, o.GID))
}

func (s Service) text() string {
	text := s.URL
	if s.Project != "" {
		text += ", project " + s.Project
	}
	if s.User != "" {
		text += ", user " + s.User
	}
	if s.Insecure {
		text += ", certificate NOT verified"
	}
	return text
}

func (l Listing) text(ttl float64) string {
	text := "none yet"
	if l.Age == nil && l.Images > 0 {
		text += fmt.Sprintf(", %s so far", count(l.Images, "image", "images"))
	}
	if l.Age != nil {
		text = fmt.Sprintf("%s, %s old (refreshed after %s", count(l.Images, "image", "images"), seconds(*l.Age), seconds(ttl))
		if l.Whole != nil && l.Whole.Age > *l.Age+1 { // the last refresh asked for what was changed
			text += fmt.Sprintf("; read whole %s ago, in %s", seconds(l.Whole.Age), seconds(l.Whole.Took))
		}
		text += ")"
	}
	if l.Warning != "" {
		text += "; last refresh failed: " + l.Warning
	}
	return text
}

func (c Cache) text() string {
	text := fmt.Sprintf("%s of %s in %s", bytes(c.Bytes), bytes(c.Limit), count(int(c.Blocks), "block", "blocks"))
	if asked := c.Hits + c.Misses; asked > 0 {
		text += fmt.Sprintf(", %d%% hits of %d", c.Hits*100/asked, asked)
	}
	return text + ", " + bytes(c.Fetched) + " fetched"
}

func (c Cache) diskText() string {
	d := c.Disk
	if d == nil {
		return "none: " + c.Warning
	}
	text := fmt.Sprintf("%s of %s in %s of %s, %s", bytes(d.Bytes), bytes(d.Limit), d.Dir,
		count(d.Images, "image", "images"), count(int(d.Hits), "hit", "hits"))
	for _, n := range []struct {
		count int64
		what  string
	}{
		{d.Evicted, "evicted"}, {d.Damaged, "damaged"}, {d.Verified, "verified"},
		{d.Mismatched, "with a wrong hash"}, {int64(d.Verifying), "being verified"},
	} {
		if n.count > 0 {
			text += fmt.Sprintf(", %s %s", humanize.Comma(n.count), n.what)
		}
	}
	return text
}

func (p Passthrough) text() string {
	if !p.On {
		return "no passthrough: " + p.Reason
	}
	return "passthrough of images that lie whole on disk, " + count(p.Handles, "handle", "handles")
}

// phaseUploading is the phase that needs no word: its bytes move.
const phaseUploading = "uploading"

// Text is one upload in a few words, as status and unmount show it.
func (u Upload) Text() string {
	return plain(fmt.Sprintf("%s: %s%s", u.Name, progress(u.Sent, u.Size, u.Seconds), u.doing()))
}

// doing is what an upload does while its bytes do not move, behind a comma; "" while they do.
func (u Upload) doing() string {
	switch {
	case u.Phase == phaseUploading && u.Size > 0 && u.Sent >= u.Size: // some stores take minutes for it
		return ", waiting for the answer"
	case u.Phase == "" || u.Phase == phaseUploading:
		return ""
	case u.Read > 0: // of what lies here, or of the image under it
		return ", " + u.Phase + ", " + bytes(u.Read) + " read"
	default:
		return ", " + u.Phase
	}
}

// Text is one waiting file in a few words.
func (w Waiting) Text(now time.Time) string {
	text := fmt.Sprintf("%s: %s, closed %s ago", w.Name, bytes(w.Size), seconds(now.Sub(w.Since).Seconds()))
	if w.Error != "" {
		text += fmt.Sprintf(", %s failed: %s", count(w.Tries, "try", "tries"), w.Error)
	}
	if w.Next != nil {
		text += ", tried in " + seconds(w.Next.Sub(now).Seconds())
	}
	return plain(text)
}

// Text is one kept draft in a few words: what it was to be, why it is kept, and
// where its bytes are.
func (d Draft) Text() string {
	text := fmt.Sprintf("%s: %s, %s", d.Name, d.State, bytes(d.Size))
	if d.Reason != "" {
		text += ", " + d.Reason
	}
	return plain(text + ", bytes in " + d.Path)
}

func bytes(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return humanize.Comma(int64(n)) + " " + many
}

// seconds writes a duration with the two units that matter.
func seconds(s float64) string {
	d := time.Duration(max(s, 0) * float64(time.Second))
	const day = 24 * time.Hour
	switch {
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	default:
		return fmt.Sprintf("%ds", d/time.Second)
	}
}

// plain replaces what could move a terminal's cursor, and what is not UTF-8.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError, r < ' ', r == 0x7f, r >= 0x80 && r < 0xa0: // C0, DEL, C1
			return '?'
		case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069: // bidirectional overrides
			return '?'
		}
		return r
	}, s)
}
