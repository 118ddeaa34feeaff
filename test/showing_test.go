package test

import (
	"cmp"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/imagefs/imagefs/catalog"
	"github.com/imagefs/imagefs/client"
	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/imageserver"
)

// inProcess is an embedded server without a process of its own, and without fsync, for
// tests that change it thousands of times, or have thousands of images in a directory.
func inProcess(t *testing.T, dir string) service {
	t.Helper()
	server, err := imageserver.New(imageserver.Options{Dir: dir, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server)
	api, err := dial(client.Options{Endpoint: web.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		api.Close()
		web.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return service{name: "embedded", args: []string{"--endpoint", web.URL}, api: api}
}

// An entry is what a mount shows of an image.
type entry struct {
	ID    string
	Size  int64
	MTime int64 // Unix seconds
}

// expected is what a mount must show of those images of the service whose names begin
// so: nothing here knows how the mount finds out.
func (s service) expected(t *testing.T, prefix string) map[string]entry {
	t.Helper()
	twins := map[string][]image.Image{}
	_, err := s.api.List(t.Context(), client.Filter{}, func(page []image.Image) error {
		for _, img := range page {
			if strings.HasPrefix(img.Name, prefix) {
				base := catalog.EntryName(img.Name, img.ID)
				twins[base] = append(twins[base], img)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]entry{}
	for base, same := range twins {
		slices.SortFunc(same, func(a, b image.Image) int {
			return cmp.Or(a.SortTime().Compare(b.SortTime()), strings.Compare(a.ID, b.ID))
		})
		for i, img := range same {
			name := base
			if i > 0 {
				ext := filepath.Ext(base)
				name = strings.TrimSuffix(base, ext) + "~" + img.ID[:8] + ext
			}
			modified := img.CreatedAt
			if set := img.Attributes().ModTime; set != nil {
				modified = *set
			}
			all[name] = entry{ID: img.ID, Size: max(img.Size, 0), MTime: modified.Unix()}
		}
	}
	return all
}

// shows is what the mount shows of such images. What goes while it looks is not in it.
func (m *mount) shows(prefix string) map[string]entry {
	m.t.Helper()
	names, err := os.ReadDir(m.dir)
	if err != nil {
		m.t.Fatal(err)
	}
	all := map[string]entry{}
	for _, e := range names {
		if !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		var st syscall.Stat_t
		err := syscall.Lstat(m.path(e.Name()), &st)
		var id string
		if err == nil {
			id, err = getxattr(m.path(e.Name()), "user.image.id")
		}
		switch {
		case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ESTALE):
		case err != nil:
			m.t.Fatalf("%q: %v", e.Name(), err)
		default:
			all[e.Name()] = entry{ID: id, Size: st.Size, MTime: st.Mtim.Sec}
		}
	}
	return all
}

// agree waits until all mounts show what the service has, and returns that.
func agree(t *testing.T, prefix string, mounts ...*mount) map[string]entry {
	t.Helper()
	want := mounts[0].service.expected(t, prefix)
	for _, m := range mounts {
		limit := time.Now().Add(patience)
		for {
			diff := gocmp.Diff(want, m.shows(prefix))
			if diff == "" {
				break
			}
			if time.Now().After(limit) {
				t.Fatalf("the mount differs from the service (-want +got):\n%s", diff)
			}
		}
	}
	return want
}

// act asks for one of the service's actions of an image.
func (s service) act(t *testing.T, token, id, action string) error {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.api.Service()+"/images/"+id+"/actions/"+action, nil)
	if err != nil {
		return err
	}
	request.Header.Set("X-Auth-Token", token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		return errors.New(action + " answers " + response.Status)
	}
	return nil
}
