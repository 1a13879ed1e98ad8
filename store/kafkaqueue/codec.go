package kafkaqueue

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/IBM/sarama"

	"firstcome/domain"
)

// Names of the headers that make a record ours. All four stand in each of our records; other headers are ignored.
const (
	headerCampaign   = "campaign"
	headerSlot       = "slot"
	headerAdmittedAt = "admitted_at"
	headerEpoch      = "epoch"
)

// admittedAtLayout is RFC 3339 in UTC with microseconds, which is what the database keeps.
const admittedAtLayout = "2006-01-02T15:04:05.000000Z"

// maxQuotedBytes bounds what of a wrong value is quoted in a message.
const maxQuotedBytes = 64

var (
	nameCampaign   = []byte(headerCampaign)
	nameSlot       = []byte(headerSlot)
	nameAdmittedAt = []byte(headerAdmittedAt)
	nameEpoch      = []byte(headerEpoch)
)

// recordHeaders is how many headers each of our records has; recordText is about how much text stands in one.
const (
	recordHeaders = 4
	recordText    = 96
)

// encode makes the records of winners, in few pieces of memory: key and value are the user ID as decimal text, the rest
// is in headers.
func encode(winners []domain.Winner) []sarama.Record {
	records := make([]sarama.Record, len(winners))
	headers := make([]sarama.RecordHeader, 0, recordHeaders*len(winners))
	named := make([]*sarama.RecordHeader, 0, recordHeaders*len(winners))
	text := make([]byte, 0, recordText*len(winners))
	for i := range winners {
		winner, record := &winners[i], &records[i]
		start := len(text)
		text = strconv.AppendInt(text, int64(winner.UserID), 10)
		record.Key = text[start:len(text):len(text)]
		record.Value = record.Key
		add := func(name, longer []byte) {
			headers = append(headers, sarama.RecordHeader{Key: name, Value: longer[len(text):len(longer):len(longer)]})
			named = append(named, &headers[len(headers)-1])
			text = longer
		}
		add(nameCampaign, append(text, winner.Campaign...))
		add(nameSlot, strconv.AppendInt(text, int64(winner.Slot), 10))
		add(nameAdmittedAt, winner.AdmittedAt.UTC().AppendFormat(text, admittedAtLayout))
		add(nameEpoch, strconv.AppendInt(text, winner.Epoch, 10))
		record.Headers = named[len(named)-recordHeaders:]
	}
	return records
}

// record is a record of the topic as it came.
type record struct {
	position   domain.RecordPosition
	key, value []byte
	headers    []*sarama.RecordHeader
}

// digest is over each part with its length, so that no two records have the same text. It copies nothing: a record of
// another program's may be large.
func (r record) digest() (digest domain.RecordDigest) {
	hash := sha256.New()
	length := make([]byte, 0, binary.MaxVarintLen64)
	add := func(part []byte) {
		_, _ = hash.Write(binary.AppendVarint(length, int64(len(part)))) // a hash takes everything
		_, _ = hash.Write(part)
	}
	add(r.key)
	add(r.value)
	for _, header := range r.headers {
		add(header.Key)
		add(header.Value)
	}
	hash.Sum(digest[:0])
	return digest
}

// decode reads a record. It never fails: what can't be read becomes a delivery with a Problem.
//
// A record with none of our headers is External if its value is a user ID; one line end after it is tolerated there,
// because tools that read lines from a file may leave it. In a record of ours the value must be the user ID alone.
//
// The delivery holds none of the record's memory, which is a part of the whole fetch's: it keeps a copy of what a fail event
// keeps of the value, so that a record that waits costs no more than that, however large it is.
func decode(r record) domain.Delivery {
	raw := bytes.Clone(r.value[:min(len(r.value), domain.MaxRawBytes)])
	delivery := domain.Delivery{Position: r.position, Digest: r.digest(), Raw: raw}
	found, problem := ourHeaders(r.headers)
	if problem == nil && len(found) == 0 {
		delivery.External = true
		delivery.Winner.UserID, problem = userID(withoutLineEnd(r.value))
	} else if problem == nil {
		delivery.Winner, problem = decodeWinner(r.value, found)
	}
	if problem != nil {
		delivery.Problem, delivery.Winner, delivery.External = problem, domain.Winner{}, false
	}
	return delivery
}

// ourHeaders picks the headers that are ours, each of which may stand in a record only once.
func ourHeaders(headers []*sarama.RecordHeader) (map[string]string, error) {
	var found map[string]string
	for _, header := range headers {
		switch name := string(header.Key); name {
		case headerCampaign, headerSlot, headerAdmittedAt, headerEpoch:
			if _, twice := found[name]; twice {
				return nil, unreadable("the header %s stands in the record twice", name)
			}
			if found == nil {
				found = make(map[string]string, 4)
			}
			found[name] = string(header.Value)
		}
	}
	return found, nil
}

func decodeWinner(value []byte, headers map[string]string) (winner domain.Winner, problem error) {
	for _, name := range []string{headerCampaign, headerSlot, headerAdmittedAt, headerEpoch} {
		if _, there := headers[name]; !there {
			return winner, unreadable("the header %s is missing", name)
		}
	}
	if winner.UserID, problem = userID(value); problem != nil {
		return winner, problem
	}
	winner.Campaign = headers[headerCampaign]
	if domain.CheckCampaignCode(winner.Campaign) != nil {
		return winner, unreadable("the header campaign is no campaign code: %q", excerpt(winner.Campaign))
	}
	slot, problem := wholeNumber(headerSlot, headers[headerSlot], 1)
	if problem != nil {
		return winner, problem
	}
	winner.Slot = domain.Slot(slot)
	if winner.Epoch, problem = wholeNumber(headerEpoch, headers[headerEpoch], 0); problem != nil {
		return winner, problem
	}
	winner.AdmittedAt, problem = moment(headers[headerAdmittedAt])
	return winner, problem
}

func userID(value []byte) (domain.UserID, error) {
	if len(value) == 0 {
		return 0, unreadable("the record has no value")
	}
	user, err := domain.ParseUserID(string(value[:min(len(value), maxQuotedBytes)]))
	if err != nil || len(value) > maxQuotedBytes {
		return 0, unreadable("the value is no user ID: %q (%d bytes)", excerpt(string(value[:min(len(value), maxQuotedBytes+1)])), len(value))
	}
	return user, nil
}

func wholeNumber(name, text string, least int64) (int64, error) {
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || number < least || strconv.FormatInt(number, 10) != text {
		return 0, unreadable("the header %s is no whole number of at least %d: %q", name, least, excerpt(text))
	}
	return number, nil
}

// moment reads a time that the database can keep: microseconds, in the years 1970 to 9999.
func moment(text string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339Nano, text)
	if at = at.UTC().Truncate(time.Microsecond); err != nil || at.Year() < 1970 || at.Year() > 9999 {
		return time.Time{}, unreadable("the header admitted_at is no RFC 3339 time of the years 1970 to 9999: %q", excerpt(text))
	}
	return at, nil
}

func withoutLineEnd(value []byte) []byte {
	if line, cut := bytes.CutSuffix(value, []byte("\n")); cut {
		return bytes.TrimSuffix(line, []byte("\r"))
	}
	return value
}

func excerpt(text string) string {
	if len(text) <= maxQuotedBytes {
		return text
	}
	return text[:maxQuotedBytes] + "…"
}

func unreadable(format string, args ...any) error {
	return domain.Errorf(domain.CodeInvalidRequest, format, args...)
}
