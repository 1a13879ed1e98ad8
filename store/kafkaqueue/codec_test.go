package kafkaqueue

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"firstcome/domain"
)

// sent gives a winner's record as a consumer receives it.
func sent(winner domain.Winner) (value []byte, headers []*sarama.RecordHeader) {
	record := encode([]domain.Winner{winner})[0]
	return record.Value, record.Headers
}

func header(name, value string) sarama.RecordHeader {
	return sarama.RecordHeader{Key: []byte(name), Value: []byte(value)}
}

func TestEveryWinnerSurvivesItsRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		winner := domain.Winner{
			Campaign:   rapid.StringMatching(`[a-z0-9][a-z0-9-]{0,62}`).Draw(t, "campaign"),
			UserID:     domain.UserID(rapid.Int64Min(1).Draw(t, "user")),
			Slot:       domain.Slot(rapid.Int64Min(1).Draw(t, "slot")),
			AdmittedAt: time.UnixMicro(rapid.Int64Range(0, domain.NoEnd.UnixMicro()).Draw(t, "admitted")).UTC(),
			Epoch:      rapid.Int64Min(0).Draw(t, "epoch"),
		}
		value, headers := sent(winner)
		delivery := decode(record{value: value, headers: headers})
		require.NoError(t, delivery.Problem)
		require.Equal(t, winner, delivery.Winner)
		require.False(t, delivery.External)
	})
}

func TestRecordsMadeTogetherAreThoseMadeAlone(t *testing.T) {
	together := winners(100)
	for i, record := range encode(together) {
		alone := encode(together[i : i+1])[0]
		require.Equal(t, alone, record)
		require.Equal(t, record.Key, record.Value)
		require.Equal(t, together[i].UserID.String(), string(record.Key))
	}
}

func TestAdmissionTimeIsWrittenInUTC(t *testing.T) {
	at := time.Date(2030, 1, 1, 2, 0, 0, 1500, time.FixedZone("east", 2*60*60))
	_, headers := sent(domain.Winner{Campaign: "a", UserID: 1, Slot: 1, AdmittedAt: at})
	require.Equal(t, "2030-01-01T00:00:00.000001Z", string(headers[2].Value))
}

func TestARepeatedHeaderIsAProblem(t *testing.T) {
	value, headers := sent(domain.Winner{Campaign: "a", UserID: 1, Slot: 1, AdmittedAt: time.Unix(0, 0)})
	repeated := header(headerSlot, "2")
	require.Error(t, decode(record{value: value, headers: append(headers, &repeated)}).Problem, "which slot would it be?")
}

func TestADeliveryKeepsTheBeginningOfItsValueAndNothingOfTheFetch(t *testing.T) {
	for name, length := range map[string]int{
		"a user ID": 7, "as much as is kept": domain.MaxRawBytes, "a byte more": domain.MaxRawBytes + 1, "a record of 1 MB": 1_000_000,
	} {
		t.Run(name, func(t *testing.T) {
			value := bytes.Repeat([]byte("7"), length)
			delivery := decode(record{value: value})
			kept := bytes.Clone(value[:min(length, domain.MaxRawBytes)])
			require.True(t, bytes.Equal(kept, delivery.Raw), "it has %d bytes", len(delivery.Raw))
			value[length-1]++
			require.NotEqual(t, decode(record{value: value}).Digest, delivery.Digest, "the digest is of the whole record")
			clear(value)
			require.True(t, bytes.Equal(kept, delivery.Raw), "the fetch's memory is not held by the delivery")
		})
	}
}

// The consumer keeps up to fetchedAhead+maxPoll deliveries, whatever stands on the topic.
func TestPoisonRecordsCostAsMuchMemoryAsIsKeptOfThem(t *testing.T) {
	const records, length = 200, 900_000
	deliveries := make([]domain.Delivery, records)
	before := heapInUse()
	for i := range deliveries {
		deliveries[i] = decode(record{value: bytes.Repeat([]byte("x"), length)})
	}
	held := int64(heapInUse()) - int64(before)
	require.Less(t, held/records, int64(2*domain.MaxRawBytes), "bytes a record")
	require.Error(t, deliveries[0].Problem)
	runtime.KeepAlive(deliveries)
}

func heapInUse() uint64 {
	var memory runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&memory)
	return memory.HeapAlloc
}

func TestMissingValueIsAProblem(t *testing.T) {
	require.Error(t, decode(record{}).Problem)
}

var benchWinner = domain.Winner{
	Campaign: "welcome", UserID: 1_234_567_890_123, Slot: 654_321, AdmittedAt: time.UnixMilli(1_790_000_000_123).UTC(), Epoch: 7,
}

// BenchmarkEncode measures making the records of a batch, per record.
func BenchmarkEncode(b *testing.B) {
	const batch = 512
	winners := make([]domain.Winner, batch)
	for i := range winners {
		winners[i] = benchWinner
		winners[i].UserID += domain.UserID(i)
	}
	b.ReportAllocs()
	for b.Loop() {
		if len(encode(winners)) != batch {
			b.Fatal("records are missing")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/record")
}

func BenchmarkDecode(b *testing.B) {
	value, headers := sent(benchWinner)
	b.ReportAllocs()
	for b.Loop() {
		if decode(record{value: value, headers: headers}).Problem != nil {
			b.Fatal("it can't be read")
		}
	}
}

func FuzzDecode(f *testing.F) {
	good := []string{"7", "spring", "3", "2030-05-01T12:00:00.000001Z", "1"}
	f.Add([]byte(good[0]), good[1], good[2], good[3], good[4], uint8(15))
	f.Add([]byte("7\n"), "", "", "", "", uint8(0))
	f.Add([]byte(strings.Repeat("\x00", 100)), "Spring", "-1", "9999-12-31T23:59:60Z", "1e3", uint8(15))
	f.Add([]byte(good[0]), good[1], "9223372036854775808", "2030-05-01T12:00:00+25:00", "", uint8(7))
	f.Fuzz(func(t *testing.T, value []byte, campaign, slot, admittedAt, epoch string, which uint8) {
		var headers []*sarama.RecordHeader
		for i, h := range []sarama.RecordHeader{
			header(headerCampaign, campaign), header(headerSlot, slot),
			header(headerAdmittedAt, admittedAt), header(headerEpoch, epoch),
		} {
			if which&(1<<i) != 0 {
				headers = append(headers, &h)
			}
		}
		delivery := decode(record{value: value, headers: headers})
		require.Equal(t, value[:min(len(value), domain.MaxRawBytes)], delivery.Raw)
		if delivery.Problem != nil {
			require.LessOrEqual(t, len(delivery.Problem.Error()), domain.MaxErrorMessageBytes)
			require.Zero(t, delivery.Winner)
			require.False(t, delivery.External)
			return
		}
		require.Equal(t, len(headers) == 0, delivery.External)
		require.Positive(t, delivery.Winner.UserID)
		if delivery.External {
			return
		}
		require.NoError(t, domain.CheckCampaignCode(delivery.Winner.Campaign))
		again, headersAgain := sent(delivery.Winner)
		require.Equal(t, delivery.Winner, decode(record{value: again, headers: headersAgain}).Winner)
	})
}
