package faults

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// staged runs a command on the drafts.
func (w *world) staged(args ...string) ([]byte, error) {
	args = append([]string{"staged"}, append(args, "--staging-dir", w.daemon.Staging)...)
	args = append(args, w.service()...)
	out, err := exec.Command(binary, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("imagefs %s: %w: %s", strings.Join(args[:2], " "), err, out)
	}
	return out, err
}

// draft is the id of the draft of a file whose close has failed.
func (w *world) draft(name string) (string, error) {
	left, err := filepath.Glob(filepath.Join(w.daemon.Staging, "*", "*.json"))
	if err != nil {
		return "", err
	}
	for _, path := range left {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		var journal struct{ Name, State string }
		if err := json.Unmarshal(text, &journal); err != nil {
			return "", err
		}
		if journal.Name == name {
			if journal.State != "failed" {
				return "", fmt.Errorf("the draft of %s is %s", name, journal.State)
			}
			return strings.TrimSuffix(filepath.Base(path), ".json"), nil
		}
	}
	return "", fmt.Errorf("the close of %s has failed, and no draft of it is kept", name)
}

// retry uploads a draft that was kept, as soon as the mount has let it go.
func (w *world) retry(id string) error {
	return w.daemon.Until("the mount to let the draft go", func() (bool, error) {
		_, err := w.staged("retry", id)
		if answerOf(err) == "exit 25" {
			return false, nil
		}
		return true, err
	})
}
