package api

import (
	"encoding/base64"
	"strconv"

	"firstcome/domain"
)

// The kinds of cursors; one of a list does not fit another.
const (
	cursorFailEvents byte = 'f'
	cursorCoupons    byte = 'c'
	cursorActions    byte = 'a'
	cursorBulk       byte = 'b'
)

// encodeCursor makes the text that continues a list after a position. Clients must not read anything into it.
func encodeCursor(kind byte, position int64) string {
	return base64.RawURLEncoding.EncodeToString(strconv.AppendInt([]byte{kind}, position, 10))
}

// decodeCursor takes only what encodeCursor made for a list of this kind. CodeInvalidRequest, field "cursor".
func decodeCursor(kind byte, text string) (int64, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) < 2 {
		return 0, errCursor
	}
	position, err := strconv.ParseInt(string(raw[1:]), 10, 64)
	if err != nil || position < 1 || encodeCursor(kind, position) != text {
		return 0, errCursor
	}
	return position, nil
}

var errCursor = domain.Invalid("cursor", "cursor must be the next_cursor of an earlier page of this list")
