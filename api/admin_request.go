package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

// readObject reads the body of an operator's call, one JSON object, into the targets of its fields. Each field may stand
// once and must be known; null, a value of the wrong type and whatever follows the object are refused. The errors are
// CodeInvalidRequest and name the field.
func (s *Server) readObject(c *gin.Context, fields map[string]any) error {
	body, err := readBody(c.Writer, c.Request, s.cfg.MaxAdminBodyBytes, nil)
	if err != nil {
		return err
	}
	return decodeObject(body, fields)
}

func decodeObject(body []byte, fields map[string]any) error {
	if !utf8.Valid(body) {
		return errBodyNotUTF8
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return domain.Invalid("body", "the body must be one JSON object")
	}
	seen := map[string]bool{}
	for decoder.More() {
		if err := decodeField(decoder, fields, seen); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return errBrokenJSON
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errTrailing
	}
	return nil
}

func decodeField(decoder *json.Decoder, fields map[string]any, seen map[string]bool) error {
	token, err := decoder.Token()
	name, isText := token.(string)
	if err != nil || !isText {
		return errBrokenJSON
	}
	target, known := fields[name]
	if !known {
		return unknownField(name)
	}
	if seen[name] {
		return domain.Invalid(name, "%s stands more than once", name)
	}
	seen[name] = true
	var raw json.RawMessage
	if decoder.Decode(&raw) != nil {
		return errBrokenJSON
	}
	if string(raw) == "null" || json.Unmarshal(raw, target) != nil {
		return domain.Invalid(name, "%s must be %s", name, kindOf(target))
	}
	return nil
}

func kindOf(target any) string {
	switch target.(type) {
	case *int64, **int64:
		return "an integer"
	case *bool:
		return "true or false"
	case *json.RawMessage:
		return "an object"
	case **throttleView:
		return `0 (no limit) to 1000000, or "auto"`
	case **time.Time:
		return "a time such as 2030-01-31T12:00:00Z (RFC 3339)"
	}
	return "a string"
}

// maxActorRunes bounds the name that an operator gives.
const maxActorRunes = 40

// actorOf says who an operator's step is recorded for: the name of the token's holder. Those who share one token may
// also give a name in X-Actor, which tells them apart and which nobody checks.
func actorOf(c *gin.Context) string {
	holder := operatorOf(c).Name
	if holder != sharedName {
		return holder
	}
	name := strings.Map(func(r rune) rune {
		if r == ' ' || isNameRune(r) {
			return r
		}
		return -1
	}, c.GetHeader("X-Actor"))
	if name = strings.TrimSpace(name); name == "" {
		return holder
	}
	if runes := []rune(name); len(runes) > maxActorRunes {
		name = string(runes[:maxActorRunes])
	}
	return holder + "/" + name
}

// query reads the parameters of an operator's list. The first thing that is wrong is kept in err.
type query struct {
	values url.Values
	err    error
}

// newQuery refuses parameters that the list does not know, and repeated ones: a misspelled filter must not show
// everything.
func newQuery(c *gin.Context, known ...string) *query {
	values, err := url.ParseQuery(c.Request.URL.RawQuery)
	q := &query{values: values}
	if err != nil {
		q.refuse("query", "the query can't be read")
	}
	for _, name := range slices.Sorted(maps.Keys(values)) { // in no order of chance: the first one is told
		switch {
		case !slices.Contains(known, name):
			q.refuse(name, "this list does not know the parameter")
		case len(values[name]) > 1:
			q.refuse(name, "the parameter stands more than once")
		}
	}
	return q
}

func (q *query) refuse(name, message string) {
	if q.err == nil {
		q.err = domain.Invalid(name, "%s", message)
	}
}

// campaign reads the code of a campaign, which need not exist.
func (q *query) campaign() string {
	code := q.values.Get("campaign")
	if code != "" && domain.CheckCampaignCode(code) != nil {
		q.refuse("campaign", "campaign is no campaign code")
	}
	return code
}

func (q *query) oneOf(name string, allowed ...string) string {
	value := q.values.Get(name)
	if value != "" && !slices.Contains(allowed, value) {
		q.refuse(name, name+" must be one of "+strings.Join(allowed, ", "))
	}
	return value
}

func (q *query) userID(name string) domain.UserID {
	text := q.values.Get(name)
	if text == "" {
		return 0
	}
	user, err := domain.ParseUserID(text)
	if err != nil {
		q.refuse(name, name+" must be a positive integer in digits")
	}
	return user
}

func (q *query) slot(name string) domain.Slot { return domain.Slot(q.positive(name)) }

// seconds reads a whole number of seconds; 0 when it is left out.
func (q *query) seconds(name string) time.Duration {
	const longest = int64(domain.FunnelRetention / time.Second)
	return time.Duration(min(q.positive(name), longest)) * time.Second
}

func (q *query) positive(name string) int64 {
	text := q.values.Get(name)
	if text == "" {
		return 0
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || number < 1 {
		q.refuse(name, name+" must be a positive integer")
		return 0
	}
	return number
}

// time reads a moment; the zero time when it is left out.
func (q *query) time(name string) time.Time {
	text := q.values.Get(name)
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.Year() < 1970 || at.Year() > 9999 {
		q.refuse(name, name+" must be a time such as 2030-01-31T12:00:00Z (RFC 3339)")
		return time.Time{}
	}
	return at.UTC()
}

func (q *query) cursor(kind byte) int64 {
	text := q.values.Get("cursor")
	if text == "" {
		return 0
	}
	position, err := decodeCursor(kind, text)
	if err != nil && q.err == nil {
		q.err = err
	}
	return position
}

// defaultPageLength is the length of a page when the call states none.
const defaultPageLength = 100

func (q *query) limit() int {
	text := q.values.Get("limit")
	if text == "" {
		return defaultPageLength
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > domain.MaxPage {
		q.refuse("limit", "limit must be 1 to "+strconv.Itoa(domain.MaxPage))
		return defaultPageLength
	}
	return limit
}
