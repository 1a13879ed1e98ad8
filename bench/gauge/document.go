package gauge

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// ReplaceMarked puts text between the comments <!-- NAME --> and <!-- end of NAME -->; an empty text changes nothing. The
// error says that the marks are missing.
func ReplaceMarked(document []byte, name, text string) ([]byte, error) {
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

// WriteTables puts each table between its marks in the document, which is to be there.
func WriteTables(path string, tables map[string]string) error {
	document, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the document is to be there, with the marks for the tables: %w", err)
	}
	for name, table := range tables {
		if document, err = ReplaceMarked(document, name, table); err != nil {
			return err
		}
	}
	return os.WriteFile(path, document, 0o644) //nolint:gosec // it is part of the repository
}
