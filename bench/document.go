package main

import (
	"path/filepath"

	"firstcome/bench/gauge"
)

// render writes the tables into the document, between their marks, and the pictures beside it. What a run did not
// measure keeps the table that is there.
func render(o options) error {
	found, err := readResults(o.results)
	if err != nil {
		return err
	}
	if err := gauge.WriteTables(filepath.Join(o.docs, "performance.md"), tables(found)); err != nil {
		return err
	}
	return drawAll(found, o.docs)
}
