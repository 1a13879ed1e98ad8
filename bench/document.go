package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// render writes the tables into the document, between their marks, and the pictures beside it. What a run did not
// measure keeps the table that is there.
func render(o options) error {
	found, err := readResults(o.results)
	if err != nil {
		return err
	}
	path := filepath.Join(o.docs, "performance.md")
	document, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the document is to be there, with the marks for the tables: %w", err)
	}
	for name, table := range tables(found) {
		if document, err = replaceMarked(document, name, table); err != nil {
			return err
		}
	}
	if err := os.WriteFile(path, document, 0o644); err != nil { //nolint:gosec // it is part of the repository
		return err
	}
	return drawAll(found, o.docs)
}

// replaceMarked puts text between the comments <!-- NAME --> and <!-- end of NAME -->; an empty text changes nothing.
func replaceMarked(document []byte, name, text string) ([]byte, error) {
	if text == "" {
		return document, nil
	}
	begin, end := []byte("<!-- "+name+" -->\n"), []byte("<!-- end of "+name+" -->")
	before, rest, begins := bytes.Cut(document, begin)
	_, after, ends := bytes.Cut(rest, end)
	if !begins || !ends {
		return nil, fmt.Errorf("the marks of the table %q are missing in the document", name)
	}
	return bytes.Join([][]byte{before, begin, []byte(strings.TrimSpace(text) + "\n"), end, after}, nil), nil
}
