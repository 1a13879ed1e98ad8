package domain

import (
	"regexp"
	"strconv"
)

// UserID identifies an applicant: a positive 64-bit integer.
type UserID int64

// Slot is a place in line, 1..quota. The two values below 1 say why a known user has none.
type Slot int64

const (
	// NoSlot marks a user whose coupon was revoked: known, and never admitted again.
	NoSlot Slot = 0
	// SlotOwed marks a winner whose slot turned out to belong to somebody else; the next free one is theirs.
	SlotOwed Slot = -1
)

// String gives the decimal text that stands in Kafka records and JSON bodies.
func (u UserID) String() string { return strconv.FormatInt(int64(u), 10) }

// ParseUserID reads a user ID from decimal text: digits only (no sign, no space, no leading zero), 1..2^63-1.
// Anything else is an error with CodeInvalidRequest and the field "user_id".
func ParseUserID(text string) (UserID, error) {
	if text == "" || len(text) > maxUserIDDigits || text[0] == '0' {
		return 0, errUserID
	}
	for _, r := range []byte(text) {
		if r < '0' || r > '9' {
			return 0, errUserID
		}
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, errUserID
	}
	return UserID(value), nil
}

// maxUserIDDigits is the length of 2^63-1 in decimal.
const maxUserIDDigits = 19

var errUserID = &Error{
	Code:    CodeInvalidRequest,
	Field:   "user_id",
	Message: "user_id must be a positive integer up to 9223372036854775807, written in digits",
}

// campaignCode is deliberately narrower than what Redis, Kafka headers and URLs allow: a code can stand in each
// of them, and in the hash tag of a Redis Cluster key, without being escaped.
var campaignCode = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// CheckCampaignCode refuses what is no campaign code: 1 to 63 lower-case letters, digits and hyphens, not
// starting with a hyphen. The error has CodeInvalidRequest and the field "code".
func CheckCampaignCode(code string) error {
	if !campaignCode.MatchString(code) {
		return Invalid("code", "code must be 1 to 63 lower-case letters, digits and hyphens, and start with a letter or digit")
	}
	return nil
}
