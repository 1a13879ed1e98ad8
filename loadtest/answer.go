package loadtest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unique"

	"firstcome/domain"
)

// Outcome says what an answer promised its user.
type Outcome uint8

// The outcomes.
const (
	// NotSent: the run ended before this user applied.
	NotSent Outcome = iota
	// Accepted: the user was promised a coupon.
	Accepted
	// Reserved: the user was admitted but Kafka was not reached; the promise does not survive the loss of Redis as well.
	Reserved
	// Refused: the user was told that there is no coupon for them.
	Refused
	// Unknown: no answer, or one that says nothing about the coupon; the user may have one or not.
	Unknown
)

// What stands in Answer.Code when the server's answer gave no code.
const (
	codeTimeout    domain.Code = "timeout"
	codeConnection domain.Code = "connection"
	codeCancelled  domain.Code = "cancelled"
	codeUnreadable domain.Code = "unreadable"
)

// Answer is the last answer that one user got.
type Answer struct {
	UserID  domain.UserID
	Outcome Outcome
	// Status is the HTTP status; 0 when no answer came.
	Status int
	// Code is the status word of a winner's body, the last part of a problem's type, or why no answer came.
	Code domain.Code
	// Slot is the slot promised; 0 when none was named.
	Slot domain.Slot
	// AnsweredFor is the user that the body names; 0 when it names none.
	AnsweredFor domain.UserID
	// Latency is of the last request alone, without the waits between retries. In the open loop that of a first request
	// counts from the moment at which it was to be sent.
	Latency time.Duration
	// Retries is how often the application was sent again.
	Retries int
}

// label is the line of the report under which an answer is counted.
func (a Answer) label() string {
	if a.Status == 0 {
		return "unknown (" + string(a.Code) + ")"
	}
	return strings.TrimSpace(strconv.Itoa(a.Status) + " " + string(a.Code))
}

// reply is one HTTP answer as it came.
type reply struct {
	status     int
	body       []byte
	retryAfter string
}

// number reads an integer that JSON gives as a number or as decimal text, as user IDs may come.
type number int64

// UnmarshalJSON accepts 42 and "42"; null and "" leave the number as it is.
func (n *number) UnmarshalJSON(raw []byte) error {
	text := strings.Trim(string(raw), `"`)
	if text == "null" || text == "" {
		return nil
	}
	value, err := strconv.ParseInt(text, 10, 64)
	*n = number(value)
	return err
}

// winnerBody is what a winner is told.
type winnerBody struct {
	UserID number `json:"user_id"`
	Slot   number `json:"slot"`
	Status string `json:"status"`
}

// problemBody is what everybody else is told (RFC 9457).
type problemBody struct {
	Type   string `json:"type"`
	Detail string `json:"detail"`
}

// code is the last part of the problem's type, whether that is a URN or a URL.
func (p problemBody) code() domain.Code {
	last := p.Type[strings.LastIndexAny(p.Type, ":/")+1:]
	return intern(last)
}

// maxCodeLength bounds what a strange server can make us remember and print.
const maxCodeLength = 64

// intern shares one copy of each code, because a run keeps millions of answers and a dozen codes. What is too long or
// has characters that would confuse a terminal is no code.
func intern(text string) domain.Code {
	strange := func(r rune) bool { return r <= ' ' || r > '~' }
	if len(text) > maxCodeLength || strings.ContainsFunc(text, strange) {
		return codeUnreadable
	}
	return domain.Code(unique.Make(text).Value())
}

// isRefusal says whether the code means that there is no coupon for the user. Every other code says nothing certain
// about it, because it may hide an admission: a gate that closed between the admission and the answer, or a rate
// limit in front of a user who won earlier.
func isRefusal(code domain.Code) bool {
	switch code {
	case domain.CodeSoldOut, domain.CodeNotStarted, domain.CodePaused, domain.CodeEnded, domain.CodeRevoked:
		return true
	}
	return false
}

// readAnswer says what one reply means for its user.
func readAnswer(user domain.UserID, got reply) Answer {
	answer := Answer{UserID: user, Status: got.status, Outcome: Unknown}
	if got.status == http.StatusOK || got.status == http.StatusAccepted {
		return readWinner(answer, got.body)
	}
	var problem problemBody
	if json.Unmarshal(got.body, &problem) != nil {
		answer.Code = codeUnreadable
		return answer
	}
	answer.Code = problem.code()
	if isRefusal(answer.Code) {
		answer.Outcome = Refused
	}
	return answer
}

func readWinner(answer Answer, body []byte) Answer {
	var winner winnerBody
	if json.Unmarshal(body, &winner) != nil {
		answer.Code = codeUnreadable
		return answer
	}
	answer.Code = intern(winner.Status)
	answer.Slot = domain.Slot(winner.Slot)
	answer.AnsweredFor = domain.UserID(winner.UserID)
	switch winner.Status {
	case "accepted", "issued":
		answer.Outcome = Accepted
	case "reserved":
		answer.Outcome = Reserved
	}
	return answer
}

// Limits of the wait before an application is sent again, whatever Retry-After says.
const (
	minRetryWait     = 50 * time.Millisecond
	maxRetryWait     = 5 * time.Second
	defaultRetryWait = time.Second
)

// retryWait reads Retry-After in seconds; the form with a date takes the default.
func retryWait(header string) time.Duration {
	seconds, err := strconv.Atoi(strings.TrimSpace(header))
	if err != nil {
		return defaultRetryWait
	}
	return min(max(time.Duration(min(seconds, 3600))*time.Second, minRetryWait), maxRetryWait)
}
