package client

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"golang.org/x/sync/errgroup"

	"github.com/imagefs/imagefs/image"
	"github.com/imagefs/imagefs/imageserver"
)

const (
	// listedImages is how many images the embedded server lists.
	listedImages = 100_000
	// listedCloud names the cloud of clouds.yaml whose service BenchmarkReal
	// lists as it is. It should have some thousand images.
	listedCloud = "IMAGEFS_BENCH_CLOUD"
)

// BenchmarkEmbedded lists the embedded server as imagefs does and as gophercloud does.
//
//	go test -run='^$' -bench=Embedded -benchtime=3x ./client
func BenchmarkEmbedded(b *testing.B) {
	server, err := imageserver.New(imageserver.Options{Dir: b.TempDir(), NoSync: true})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = server.Close() }() // its directory goes, too
	for n := range listedImages {
		body := fmt.Sprintf(`{"name": "seeded-image-%06d.with-a-name", "disk_format": "qcow2", "container_format": "bare", "tags": ["seeded"],
 "hw_disk_bus": "virtio-scsi", "os_distro": "debian", "build_id": "%032x"}`, n, n)
		req := httptest.NewRequest(http.MethodPost, "/v2/images", strings.NewReader(body))
		req.Header.Set("Content-Type", typeJSON)
		answer := httptest.NewRecorder()
		if server.ServeHTTP(answer, req); answer.Code != http.StatusCreated {
			b.Fatal(answer.Code, answer.Body)
		}
	}
	listener := httptest.NewServer(server)
	defer listener.Close()
	c := must(Dial(b.Context(), Options{Endpoint: listener.URL}))
	defer c.Close()
	benchmarkListings(b, c, listedImages)
}

// BenchmarkReal does the same on a real service, and with several readers at once.
//
//	IMAGEFS_BENCH_CLOUD=demo go test -run='^$' -bench=Real -benchtime=3x ./client
func BenchmarkReal(b *testing.B) {
	cloud := os.Getenv(listedCloud)
	if cloud == "" {
		b.Fatal("$" + listedCloud + " names no cloud")
	}
	c := must(Dial(b.Context(), Options{Cloud: cloud}))
	defer c.Close()
	benchmarkListings(b, c, -1)
	var all []image.Image
	if _, err := c.List(b.Context(), Filter{}, func(page []image.Image) error { all = append(all, page...); return nil }); err != nil {
		b.Fatal(err)
	}
	b.Run("without asking ahead", func(b *testing.B) {
		for b.Loop() {
			listOneByOne(b, c)
		}
	})
	for _, readers := range []int{2, 3, 4} {
		b.Run(fmt.Sprintf("%d readers", readers), func(b *testing.B) {
			for b.Loop() {
				listByParts(b, c, all, readers)
			}
		})
	}
}

// benchmarkListings lists by both ways; count is how many images there are, -1 where
// that is not known.
func benchmarkListings(b *testing.B, c *Client, count int) {
	b.Run("imagefs", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n, began, first := 0, time.Now(), time.Duration(0)
			if _, err := c.List(b.Context(), Filter{}, func(page []image.Image) error {
				if n == 0 {
					first = time.Since(began)
				}
				n += len(page)
				return nil
			}); err != nil || count >= 0 && n != count {
				b.Fatal(n, err)
			}
			b.ReportMetric(float64(first.Milliseconds()), "ms-to-first")
			b.ReportMetric(float64(n), "images")
		}
	})
	b.Run("gophercloud", func(b *testing.B) {
		b.ReportAllocs()
		provider := &gophercloud.ProviderClient{TokenID: c.session.token()}
		service := &gophercloud.ServiceClient{ProviderClient: provider, Endpoint: c.base + "/", Type: "image"}
		for b.Loop() {
			pages, err := images.List(service, images.ListOpts{Limit: pageSize}).AllPages(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			all, err := images.ExtractImages(pages)
			if err != nil || count >= 0 && len(all) != count {
				b.Fatal(len(all), err)
			}
		}
	})
}

// askPage asks for one page and reads it.
func askPage(ctx context.Context, c *Client, query url.Values) (read []image.Image, next string, err error) {
	a, err := c.fetch(ctx, &request{op: opList, method: http.MethodGet, path: "/images", query: query, limit: maxPage, ok: []int{http.StatusOK}}, idempotent)
	if err != nil {
		return nil, "", err
	}
	p, err := parsePage(a.body, func(img image.Image, _ image.UUID, err error) {
		if err == nil {
			read = append(read, img)
		}
	})
	if err != nil || p.next == "" {
		return read, "", err
	}
	next, err = marker(p.next)
	return read, next, err
}

// listOneByOne asks for each page when the one before it has been read.
func listOneByOne(b *testing.B, c *Client) {
	query := Filter{}.query()
	for {
		_, next, err := askPage(b.Context(), c, query)
		if err != nil {
			b.Fatal(err)
		}
		if next == "" {
			return
		}
		query.Set("marker", next)
	}
}

// listByParts lists with several readers. Each begins at its part's lower bound of
// created_at and stops by itself when it has come to the next part.
func listByParts(b *testing.B, c *Client, all []image.Image, readers int) {
	var group errgroup.Group
	found := make([]map[string]struct{}, readers)
	for r := range readers {
		from, to := all[r*len(all)/readers].CreatedAt, time.Time{}
		if r < readers-1 {
			to = all[(r+1)*len(all)/readers].CreatedAt
		}
		found[r] = make(map[string]struct{})
		group.Go(func() error {
			query := Filter{}.query()
			if r > 0 {
				query.Set("created_at", "gte:"+from.Format(filterTime))
			}
			// Where the parts are small, so are the pages: otherwise all of the
			// readers would read what comes behind theirs.
			query.Set("limit", fmt.Sprint(min(pageSize, max(1, len(all)/readers))))
			for {
				page, next, err := askPage(b.Context(), c, query)
				if err != nil {
					return err
				}
				past := false
				for _, img := range page {
					found[r][img.ID] = struct{}{}
					past = !to.IsZero() && img.CreatedAt.After(to)
				}
				if past || next == "" {
					return nil
				}
				query.Set("marker", next)
			}
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	total := make(map[string]struct{})
	for _, part := range found {
		maps.Copy(total, part)
	}
	if len(total) < len(all) {
		b.Fatalf("the parts have %d of %d images", len(total), len(all))
	}
}

// BenchmarkParsePage reads one full page of usual records.
func BenchmarkParsePage(b *testing.B) {
	body := usualPage()
	b.SetBytes(int64(len(body)))
	for name, parse := range map[string]func(){
		"fast": func() {
			if images, _, _, err := readPage(body); err != nil || len(images) != pageSize {
				b.Fatal(err)
			}
		},
		"slow": func() {
			records, _, err := slowPage(body)
			if err != nil {
				b.Fatal(err)
			}
			for _, r := range records {
				if _, err := slowRecord(r); err != nil {
					b.Fatal(err)
				}
			}
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				parse()
			}
		})
	}
}
func usualPage() []byte {
	text := []byte(`{"images": [`)
	for n := range pageSize {
		if n > 0 {
			text = append(text, ", "...)
		}
		text = fmt.Appendf(text, `{"hw_disk_bus": "virtio-scsi", "os_distro": "debian", "build_id": "%032x", "name": "seeded-image-%06d.with-a-name", "disk_format": "qcow2", "container_format": "bare", "visibility": "shared", "size": %d, "virtual_size": 10737418240, "status": "active", "checksum": "%032x", "protected": false, "min_ram": 0, "min_disk": 0, "owner": "b3c1d2e3f4a5b6c7d8e9f0a1b2c3d4e5", "os_hidden": false, "os_hash_algo": "sha512", "os_hash_value": "%0128x", "id": "00000000-0000-4000-8000-%012d", "created_at": "2026-11-22T00:38:57Z", "updated_at": "2026-11-22T02:38:58Z", "tags": ["seeded"], "self": "/v2/images/00000000-0000-4000-8000-%012d", "file": "/v2/images/00000000-0000-4000-8000-%012d/file", "schema": "/v2/schemas/image"}`,
			n, n, n*1000, n, n, n, n, n)
	}
	return append(text, `], "first": "/v2/images?limit=1000", "schema": "/v2/schemas/images", "next": "/v2/images?limit=1000&marker=00000000-0000-4000-8000-000000000999"}`...)
}
