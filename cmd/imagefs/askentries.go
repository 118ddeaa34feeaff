package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
)

// maxLine, in bytes, bounds one line of a listing: a name, and 128 tags of at most 255
// characters, all of them escaped.
const maxLine = 1 << 20

// listedSink takes what entries stand for as it comes. pause is called before a wait
// for more of it.
type listedSink struct {
	entry func(listed) error
	pause func() error
}

// errCutShort: the daemon has not said that this was all.
var errCutShort = errors.New("the daemon ended meanwhile: the listing is not complete")

// entries hands out what every entry of the mount stands for, and returns what the user
// should know of it: that the service is away, or "".
func (d daemon) entries(ctx context.Context, to listedSink) (warning string, err error) {
	err = d.attended(ctx, http.MethodGet, entriesPath, nil, func(body io.ReadCloser) error {
		warning, err = readEntries(body, to)
		return err
	})
	return warning, err
}

func readEntries(body io.Reader, to listedSink) (warning string, err error) {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var line entriesLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return "", err
		}
		switch {
		case line.Entry != nil:
			err = to.entry(*line.Entry)
		case line.Pause:
			err = to.pause()
		case line.End:
			return line.Warning, nil
		case line.Error != "":
			return "", saidBy(line.Error, line.Code)
		}
		if err != nil {
			return "", err
		}
	}
	return "", errors.Join(errCutShort, lines.Err())
}

// entry returns what an entry of the mount, or where that is "" an id, stands for.
func (d daemon) entry(ctx context.Context, entry, id string) (described, error) {
	var found described
	path := entryPath + "?" + url.Values{queryEntry: {entry}, queryID: {id}}.Encode()
	err := d.attended(ctx, http.MethodGet, path, nil, func(body io.ReadCloser) (err error) {
		found, err = readEntry(body)
		return err
	})
	return found, err
}

func readEntry(body io.ReadCloser) (described, error) {
	var a entryAnswer
	switch err := readAnswer(body, &a); {
	case err != nil:
		return described{}, err
	case a.Image == nil:
		return described{}, saidBy(a.Error, a.Code)
	}
	return *a.Image, nil
}

// saidBy is the error that a daemon answers with. One of another version may have codes
// that this program does not, or say nothing that it knows: an error is one all the same.
func saidBy(text string, code exitCode) error {
	if text == "" {
		text = "the daemon's answer says nothing: is it of another version?"
	}
	known := slices.ContainsFunc(exitTable(), func(m exitMeaning) bool { return m.Code == code })
	if code == exitOK || !known {
		code = exitInternal
	}
	return &failure{code: code, err: errors.New(text)}
}
