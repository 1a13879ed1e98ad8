package api

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"firstcome/domain"
)

// maxNumberUserID is the largest user ID that may stand as a JSON number: above 2^53-1 many JSON libraries round
// silently, and a coupon would go to somebody else.
const maxNumberUserID = 1<<53 - 1

// decodeApply reads the body of an application: one JSON object with exactly the field user_id, once, a number up to
// 2^53-1 or a decimal string up to 2^63-1, and nothing after it. Escapes in the key and the string are understood.
// Errors are CodeInvalidRequest and name the field; "body" when it is not about one.
//
// It is written by hand because encoding/json takes repeated and differently spelled keys, and reads 1e3 as 1000.
func decodeApply(body []byte) (domain.UserID, error) {
	if len(body) == 0 {
		return 0, errEmptyBody
	}
	if !utf8.Valid(body) {
		return 0, errBodyNotUTF8
	}
	scan := scanner{data: body}
	if !scan.take('{') {
		return 0, errNotObject
	}
	if scan.take('}') {
		return 0, errNoUserID
	}
	if err := scan.key(); err != nil {
		return 0, err
	}
	user, err := scan.userID()
	if err != nil {
		return 0, err
	}
	return user, scan.end()
}

var (
	errEmptyBody    = domain.Invalid("body", `the body is empty; it must be like {"user_id": 42}`)
	errBodyNotUTF8  = domain.Invalid("body", "the body is not valid UTF-8")
	errNotObject    = domain.Invalid("body", `the body must be one JSON object, like {"user_id": 42}`)
	errBrokenJSON   = domain.Invalid("body", "the body is not valid JSON")
	errTrailing     = domain.Invalid("body", "something follows the JSON object")
	errNoUserID     = domain.Invalid("user_id", "user_id is missing")
	errRepeated     = domain.Invalid("user_id", "user_id stands more than once")
	errUserIDType   = domain.Invalid("user_id", "user_id must be a JSON number or a decimal string")
	errUserIDNumber = domain.Invalid("user_id", "user_id as a number must be a positive integer without sign, fraction or exponent")
	errUserIDBig    = domain.Invalid("user_id", "user_id above 9007199254740991 must be a decimal string, because JSON numbers lose digits there")
)

// scanner goes through a body once.
type scanner struct {
	data []byte
	pos  int
}

// peek gives the next byte that is no white space, 0 at the end.
func (s *scanner) peek() byte {
	for ; s.pos < len(s.data); s.pos++ {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
		default:
			return s.data[s.pos]
		}
	}
	return 0
}

func (s *scanner) take(want byte) bool {
	if s.peek() != want {
		return false
	}
	s.pos++
	return true
}

// key reads the only key that may stand here, and the colon.
func (s *scanner) key() error {
	key, err := s.text()
	if err != nil {
		return err
	}
	if string(key) != "user_id" {
		return unknownField(string(key))
	}
	if !s.take(':') {
		return errBrokenJSON
	}
	return nil
}

func unknownField(name string) error {
	const maxShown = 64
	if name == "" {
		return domain.Invalid("body", "the body has a field without a name")
	}
	if len(name) > maxShown {
		name = strings.ToValidUTF8(name[:maxShown], "") + "..."
	}
	return domain.Invalid(name, "the field %q is not known here", name)
}

// text reads a string. encoding/json resolves the escapes, which hardly any client sends.
func (s *scanner) text() ([]byte, error) {
	if !s.take('"') {
		return nil, errBrokenJSON
	}
	start, escaped := s.pos, false
	for ; s.pos < len(s.data); s.pos++ {
		switch char := s.data[s.pos]; {
		case char == '"':
			s.pos++
			if escaped {
				return unescape(s.data[start-1 : s.pos])
			}
			return s.data[start : s.pos-1], nil
		case char == '\\':
			escaped = true
			s.pos++
		case char < ' ':
			return nil, errBrokenJSON
		}
	}
	return nil, errBrokenJSON
}

func unescape(quoted []byte) ([]byte, error) {
	var text string
	if json.Unmarshal(quoted, &text) != nil {
		return nil, errBrokenJSON
	}
	return []byte(text), nil
}

func (s *scanner) userID() (domain.UserID, error) {
	switch char := s.peek(); {
	case char == '"':
		text, err := s.text()
		if err != nil {
			return 0, err
		}
		return domain.ParseUserID(string(text))
	case char == '-' || char == '+' || char == '.' || '0' <= char && char <= '9':
		return s.number()
	case char == 0:
		return 0, errBrokenJSON
	}
	return 0, errUserIDType
}

func (s *scanner) number() (domain.UserID, error) {
	start := s.pos
	for s.pos < len(s.data) && strings.IndexByte("+-.0123456789Ee", s.data[s.pos]) >= 0 {
		s.pos++
	}
	text := s.data[start:s.pos]
	value, err := strconv.ParseUint(string(text), 10, 64)
	switch {
	case text[0] == '0' || text[0] == '+' || err != nil && !errors.Is(err, strconv.ErrRange):
		return 0, errUserIDNumber
	case err != nil || value > maxNumberUserID:
		return 0, errUserIDBig
	}
	return domain.UserID(value), nil
}

// end refuses what follows the value: more fields, or more than the object.
func (s *scanner) end() error {
	if s.take(',') {
		return s.secondField()
	}
	if !s.take('}') {
		return errBrokenJSON
	}
	s.peek()
	if s.pos < len(s.data) {
		return errTrailing
	}
	return nil
}

func (s *scanner) secondField() error {
	key, err := s.text()
	switch {
	case err != nil:
		return err
	case string(key) == "user_id":
		return errRepeated
	}
	return unknownField(string(key))
}
