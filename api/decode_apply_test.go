package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// badBodies are bodies of an application, and the field that the refusal must name.
var badBodies = map[string]string{
	"":                                "body",
	" \n":                             "body",
	"hello":                           "body",
	"42":                              "body",
	"null":                            "body",
	`"user_id"`:                       "body",
	"[]":                              "body",
	`[{"user_id":1}]`:                 "body",
	`{`:                               "body",
	`{"user_id"`:                      "body",
	`{"user_id"}`:                     "body",
	`{"user_id":`:                     "body",
	`{"user_id":1`:                    "body",
	`{"user_id":"1`:                   "body",
	`{"user_id":1,`:                   "body",
	`{"user_id":1,}`:                  "body",
	`{"user_id" 1}`:                   "body",
	`{user_id:1}`:                     "body",
	`{'user_id':1}`:                   "body",
	`{"user_id":1]`:                   "body",
	`{"user_id":1}}`:                  "body",
	`{"user_id":1} x`:                 "body",
	`{"user_id":1}{"user_id":2}`:      "body",
	"{\"user_id\":1}\x00":             "body",
	"\xef\xbb\xbf{\"user_id\":1}":     "body",
	"{\"user_id\":\"1\xff\"}":         "body",
	"{\"user\nid\":1}":                "body",
	`{"user_id\":1}`:                  "body",
	`{"user_id\x":1}`:                 "body",
	`{"":1}`:                          "body",
	`{}`:                              "user_id",
	`{"user_id":1,"user_id":1}`:       "user_id",
	`{"user_id":1,"user\u005fid":2}`:  "user_id",
	`{"user_id":1,"x":2}`:             "x",
	`{"x":2,"user_id":1}`:             "x",
	`{"User_ID":1}`:                   "User_ID",
	`{"user_id":0}`:                   "user_id",
	`{"user_id":-0}`:                  "user_id",
	`{"user_id":-1}`:                  "user_id",
	`{"user_id":+7}`:                  "user_id",
	`{"user_id":1.5}`:                 "user_id",
	`{"user_id":1.0}`:                 "user_id",
	`{"user_id":.5}`:                  "user_id",
	`{"user_id":1e3}`:                 "user_id",
	`{"user_id":007}`:                 "user_id",
	`{"user_id":9007199254740992}`:    "user_id",
	`{"user_id":9223372036854775808}`: "user_id",
	`{"user_id":1` + strings.Repeat("0", 400) + `}`: "user_id",
	`{"user_id":"0"}`:                   "user_id",
	`{"user_id":""}`:                    "user_id",
	`{"user_id":"-1"}`:                  "user_id",
	`{"user_id":"+7"}`:                  "user_id",
	`{"user_id":"007"}`:                 "user_id",
	`{"user_id":" 7"}`:                  "user_id",
	`{"user_id":"1.5"}`:                 "user_id",
	`{"user_id":"1e3"}`:                 "user_id",
	`{"user_id":"abc"}`:                 "user_id",
	`{"user_id":"٧"}`:                   "user_id",
	`{"user_id":"\ud800"}`:              "user_id",
	`{"user_id":"9223372036854775808"}`: "user_id",
	`{"user_id":null}`:                  "user_id",
	`{"user_id":true}`:                  "user_id",
	`{"user_id":[1]}`:                   "user_id",
	`{"user_id":{"user_id":1}}`:         "user_id",
}

func TestEveryBadBodyIsRefusedWithTheFieldThatIsWrong(t *testing.T) {
	for body, field := range badBodies {
		_, err := decodeApply([]byte(body))
		var refused *domain.Error
		require.ErrorAs(t, err, &refused, "%q", body)
		assert.Equal(t, domain.CodeInvalidRequest, refused.Code, "%q", body)
		assert.Equal(t, field, refused.Field, "%q", body)
		assert.NotEmpty(t, refused.Message, "%q", body)
	}
}

func TestUserIDsArriveDigitByDigit(t *testing.T) {
	for body, want := range map[string]domain.UserID{
		`{"user_id":42}`:                    42,
		`{"user_id":9007199254740991}`:      1<<53 - 1,
		`{"user_id":"9007199254740993"}`:    1<<53 + 1,
		`{"user_id":"9223372036854775807"}`: math.MaxInt64,
		`{"user_id":"\u0034\u0032"}`:        42,
		`{"\u0075ser_i\u0064":"42"}`:        42,
	} {
		got, err := decodeApply([]byte(body))
		require.NoError(t, err, "%q", body)
		assert.Equal(t, want, got, "%q", body)
	}
	got, err := decodeApply([]byte(" {\r\n\t\"user_id\" :\t42 } \n"))
	require.NoError(t, err, "white space around every part")
	assert.EqualValues(t, 42, got)
}

func TestALongUnknownFieldIsNamedShortened(t *testing.T) {
	_, err := decodeApply([]byte(`{"` + strings.Repeat("é", 1000) + `":1}`))
	var refused *domain.Error
	require.ErrorAs(t, err, &refused)
	assert.True(t, utf8.ValidString(refused.Field))
	assert.Less(t, len(refused.Field), 100)
}

// FuzzDecodeApply holds the decoder against encoding/json: what it accepts, encoding/json reads as the same user; what
// encoding/json reads as an object with exactly a good user_id, it accepts.
func FuzzDecodeApply(f *testing.F) {
	for body := range badBodies {
		f.Add([]byte(body))
	}
	f.Add([]byte(`{"user_id":42}`))
	f.Add([]byte(` {"user\u005fid" : "\u0034\u0032"} `))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := decodeApply(body)
		want, ok := decodeSlowly(body)
		if (err == nil) != ok || err == nil && got != want {
			t.Fatalf("%q was read as %d, %v; encoding/json says %d, %v", body, got, err, want, ok)
		}
	})
}

// decodeSlowly says the same by means of encoding/json's tokens.
func decodeSlowly(body []byte) (domain.UserID, bool) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var tokens []json.Token
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, false
		}
		tokens = append(tokens, token)
	}
	if !utf8.Valid(body) || !json.Valid(body) || len(tokens) != 4 || tokens[0] != json.Delim('{') || tokens[1] != "user_id" {
		return 0, false
	}
	switch value := tokens[2].(type) {
	case string:
		user, err := domain.ParseUserID(value)
		return user, err == nil
	case json.Number:
		user, err := strconv.ParseInt(value.String(), 10, 64)
		return domain.UserID(user), err == nil && user >= 1 && user <= maxNumberUserID
	}
	return 0, false
}
