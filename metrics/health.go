package metrics

import "fmt"

// Ill says in one line why the mount does not serve: it is not mounted, or a service is
// away, so that requests fail. "" where it does.
func (s Snapshot) Ill() string {
	if s.State != StateMounted {
		return fmt.Sprintf("%s: %s", plain(s.Mountpoint), s.State)
	}
	for _, t := range s.Service.Trouble {
		if t.Away {
			return plain(t.text(s.now()))
		}
	}
	return ""
}
