package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// making has each measurement of c followed by a look whether it has made an image of
// each file and nothing else, and deletes what it has made.
func (l *lab) making(s *site, files []source, c contender) contender {
	c.after = func(ctx context.Context, failed error) error {
		made, err := s.takeAway(ctx)
		if err == nil && failed == nil {
			err = compare(made, files)
		}
		return err
	}
	return c
}

// record is what the service lists of an image.
type record struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Size   int64  `json:"size"`
	Hidden bool   `json:"os_hidden"`
}

// takeAway deletes all images of a service, and returns which there were.
func (s *site) takeAway(ctx context.Context) ([]record, error) {
	var all []record
	for _, hidden := range []string{"false", "true"} {
		answer, err := s.call(ctx, http.MethodGet, s.endpoint()+"/v2/images?limit=1000&os_hidden="+hidden, "", 0, nil)
		if err != nil {
			return nil, err
		}
		var page struct {
			Images []record `json:"images"`
		}
		if err := json.Unmarshal(answer, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Images...)
	}
	for _, r := range all {
		if _, err := s.call(ctx, http.MethodDelete, s.endpoint()+"/v2/images/"+r.ID, "", 0, nil); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// compare finds what is missing or too much.
func compare(made []record, files []source) error {
	sizes := map[int64]int{}
	for _, f := range files {
		sizes[f.size]++
	}
	for _, r := range made {
		sizes[r.Size]--
		if r.Status != "active" || r.Hidden || sizes[r.Size] < 0 {
			return fmt.Errorf("it made %+v, of which there is no file", r)
		}
	}
	if len(made) != len(files) {
		return fmt.Errorf("it made %d images of %d files", len(made), len(files))
	}
	return nil
}
