package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// The generated part of the document lies between these lines; the rest is
// written by hand and kept.
const (
	beginMark = "<!-- bench: begin. Written by `make bench`; what you change here is lost. -->\n"
	endMark   = "<!-- bench: end -->\n"
)

// plots is the directory of the plots and of the figures, below docs.
const plots = "benchmarks"

// update writes results into the document below docs. Rows that were not measured
// keep the figures that they have.
func update(docs string, measured []stored) error {
	rows := allRows()
	document, figures := filepath.Join(docs, "BENCHMARKS.md"), filepath.Join(docs, plots, "figures.json")
	old, err := loadStored(figures)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	all := merge(rows, old, measured)
	if text, err = replaceGenerated(text, markdown(rows, all)); err != nil {
		return fmt.Errorf("%s: %w", document, err)
	}
	kept, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(docs, plots)); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(docs, plots), 0o755); err != nil {
		return err
	}
	errs := []error{os.WriteFile(figures, append(kept, '\n'), 0o644), os.WriteFile(document, text, 0o644)}
	for _, s := range all {
		errs = append(errs, os.WriteFile(filepath.Join(docs, plots, s.Row+".svg"), plot(s.result(find(rows, s.Row))), 0o644))
	}
	return errors.Join(errs...)
}

func find(rows []row, name string) row {
	for _, r := range rows {
		if r.name == name {
			return r
		}
	}
	return row{}
}

func replaceGenerated(text, generated []byte) ([]byte, error) {
	before, rest, begun := bytes.Cut(text, []byte(beginMark))
	_, after, ended := bytes.Cut(rest, []byte(endMark))
	if !begun || !ended {
		return nil, errors.New("the lines that enclose the generated part are missing")
	}
	return bytes.Join([][]byte{before, []byte(beginMark), generated, []byte(endMark), after}, nil), nil
}
