package client

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/imagefs/imagefs/image"
)

func testRoundTrip(t *testing.T, s service) {
	data := randomBytes(3<<20 + 17)
	img := s.with(t, data)
	md, sha := md5.Sum(data), sha512.Sum512(data)
	if img.Status != image.StatusActive || img.Size != int64(len(data)) || img.DiskFormat != "raw" ||
		img.Checksum != hex.EncodeToString(md[:]) || img.HashAlgo != "sha512" || img.HashValue != hex.EncodeToString(sha[:]) {
		t.Errorf("record %+v", img)
	}
	if img.CreatedAt.IsZero() || img.UpdatedAt.Before(img.CreatedAt) {
		t.Errorf("times %v, %v", img.CreatedAt, img.UpdatedAt)
	}
	body, err := s.OpenWhole(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, body); !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back, not those that went", len(got))
	}
	if err := s.Delete(t.Context(), img.ID); err != nil {
		t.Fatal(err)
	}
	_, err = s.Get(t.Context(), img.ID)
	wantKind(t, err, image.NotFound)
	_, err = s.OpenWhole(t.Context(), img)
	wantKind(t, err, image.NotFound)
}

func readAll(t *testing.T, body io.ReadCloser) []byte {
	t.Helper()
	data, err := io.ReadAll(body)
	if err != nil {
		t.Error(err)
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
	return data
}

func testSpans(t *testing.T, s service) {
	data := randomBytes(300_001)
	img := s.with(t, data)
	size := img.Size
	for _, sp := range []image.Span{
		{Off: 0, Len: 1}, {Off: 0, Len: size}, {Off: 0, Len: 4096}, {Off: 1, Len: size - 1}, {Off: size - 1, Len: 1},
		{Off: 4095, Len: 4097}, {Off: 65536, Len: 131072}, {Off: 0, Len: 0}, {Off: size, Len: 0}, {Off: 5, Len: 0},
	} {
		body, err := s.OpenSpan(t.Context(), img, sp)
		if err != nil {
			t.Fatalf("%+v: %v", sp, err)
		}
		if got := readAll(t, body); !bytes.Equal(got, data[sp.Off:sp.End()]) {
			t.Errorf("%+v: %d other bytes", sp, len(got))
		}
	}
	for _, sp := range []image.Span{{Off: -1, Len: 2}, {Off: 0, Len: size + 1}, {Off: size, Len: 1}, {Off: 1, Len: -1}} {
		_, err := s.OpenSpan(t.Context(), img, sp)
		wantKind(t, err, image.Other)
	}
	// A record that says more than the service has must not yield zeros.
	larger := img
	larger.Size += 100
	_, err := s.OpenSpan(t.Context(), larger, image.Span{Off: 0, Len: 10})
	wantKind(t, err, image.Corrupt)
	_, err = s.OpenSpan(t.Context(), larger, image.Span{Off: size, Len: 10})
	wantKind(t, err, image.Corrupt)
	// Where the answer has no length this shows only at its end.
	body, err := s.OpenWhole(t.Context(), larger)
	if err == nil {
		_, err = io.Copy(io.Discard, body)
		_ = body.Close()
	}
	wantKind(t, err, image.Corrupt)
}

func testEmpty(t *testing.T, s service) {
	img := s.with(t, nil)
	if img.Status != image.StatusActive || img.Size != 0 {
		t.Fatalf("record %+v", img)
	}
	for _, open := range []func() (io.ReadCloser, error){
		func() (io.ReadCloser, error) { return s.OpenWhole(t.Context(), img) },
		func() (io.ReadCloser, error) { return s.OpenSpan(t.Context(), img, image.Span{}) },
	} {
		body, err := open()
		if err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, body); len(got) != 0 {
			t.Errorf("%d bytes", len(got))
		}
	}
}

func testQueued(t *testing.T, s service) {
	img := s.create(t, image.New{})
	_, err := s.OpenWhole(t.Context(), img)
	wantKind(t, err, image.NoData)
	// Even if the record was thought to be active. (Who is not in a hurry asks again: it
	// may be going.)
	img.Status, img.Size = image.StatusActive, 10
	_, err = s.OpenWhole(image.Briefly(t.Context()), img)
	wantKind(t, err, image.Corrupt)
}

func testDeactivated(t *testing.T, s service) {
	img := s.with(t, randomBytes(1000))
	wantPermission(t, s.MayRead(t.Context(), img))
	resp, err := s.admin.send(t.Context(), &request{op: "deactivate", image: img.ID, method: http.MethodPost,
		path: "/images/" + img.ID + "/actions/deactivate", header: s.header, ok: []int{http.StatusNoContent}})
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	now := s.get(t, img.ID)
	if now.Status != image.StatusDeactivated {
		t.Fatalf("status %s", now.Status)
	}
	_, err = s.OpenSpan(t.Context(), now, image.Span{Len: 10})
	wantKind(t, err, image.Forbidden)
	_, err = s.OpenWhole(t.Context(), now)
	wantKind(t, err, image.Forbidden)
	wantKind(t, s.MayRead(t.Context(), now), image.Forbidden)
	wantKind(t, s.MayRead(t.Context(), img), image.Forbidden) // who does not know yet
}

func testUploadTwice(t *testing.T, s service) {
	img := s.with(t, []byte("first"))
	// Large, so that it is refused before it is sent.
	large := &countingReader{left: 64 << 20}
	err := s.Upload(t.Context(), img.ID, 64<<20, func() io.Reader { return large })
	wantKind(t, err, image.Busy)
	if s.early && large.taken != 0 {
		t.Errorf("%d bytes were sent before the refusal was heard", large.taken)
	}
	wantKind(t, s.Upload(t.Context(), img.ID, 5, reader([]byte("again"))), image.Busy)
}

// countingReader yields zeros.
type countingReader struct{ left, taken int64 }

func (r *countingReader) Read(p []byte) (int, error) {
	n := min(int64(len(p)), r.left)
	r.left -= n
	r.taken += n
	if n == 0 {
		return 0, io.EOF
	}
	clear(p[:n])
	return int(n), nil
}

func testShortUpload(t *testing.T, s service) {
	img := s.create(t, image.New{})
	err := s.Upload(t.Context(), img.ID, 1000, reader(make([]byte, 10)))
	if err == nil {
		t.Error("a short upload is accepted")
	}
	broken := errors.New("the disk is gone")
	img = s.create(t, image.New{})
	err = s.Upload(t.Context(), img.ID, 1000, func() io.Reader {
		return io.MultiReader(strings.NewReader("some"), &failingReader{broken})
	})
	if !errors.Is(err, broken) {
		t.Errorf("%v does not tell why", err)
	}
}

type failingReader struct{ err error }

func (r *failingReader) Read([]byte) (int, error) { return 0, r.err }

func testConcurrentReaders(t *testing.T, s service) {
	data := randomBytes(1 << 20)
	img := s.with(t, data)
	var wg sync.WaitGroup
	for g := range 16 { // twice the streams
		wg.Go(func() {
			for k := range 2 {
				off := int64((g*2 + k) * 30_000)
				body, err := s.OpenSpan(t.Context(), img, image.Span{Off: off, Len: 9_000})
				if err != nil {
					t.Error(err)
					return
				}
				if got := readAll(t, body); !bytes.Equal(got, data[off:off+9_000]) {
					t.Errorf("other bytes at %d", off)
				}
			}
		})
	}
	wg.Wait()
}

func testCancelled(t *testing.T, s service) {
	img := s.with(t, randomBytes(8<<20))
	ctx, cancel := context.WithCancel(t.Context())
	body, err := s.OpenWhole(ctx, img)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancel()
	_, err = io.Copy(io.Discard, body)
	wantKind(t, err, image.Interrupted)
	if err := body.Close(); err != nil {
		t.Error(err)
	}
	_, err = s.Get(ctx, img.ID)
	wantKind(t, err, image.Interrupted)
	_, err = s.List(ctx, Filter{}, nil)
	wantKind(t, err, image.Interrupted)
	_, err = s.Create(ctx, image.New{Name: randomName()})
	wantKind(t, err, image.Interrupted)
	_, err = s.OpenSpan(ctx, img, image.Span{Len: 1})
	wantKind(t, err, image.Interrupted)
	wantKind(t, s.Delete(ctx, img.ID), image.Interrupted)
	if _, err := s.Get(t.Context(), img.ID); err != nil {
		t.Error(err)
	}
}
