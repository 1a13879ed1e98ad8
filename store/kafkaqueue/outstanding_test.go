package kafkaqueue

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"firstcome/domain"
)

func newTestSession(partitions int32) *session {
	s := &session{
		over: make(chan struct{}), next: map[int32]int64{}, committed: map[int32]int64{}, newest: map[int32]fingerprint{},
	}
	for partition := range partitions {
		s.next[partition], s.committed[partition] = 0, 0
	}
	return s
}

func at(partition int32, offset int64) domain.Delivery {
	return domain.Delivery{Position: domain.RecordPosition{Partition: partition, Offset: offset}}
}

// TestCommitsNeverPassAnUncommittedRecord lets records with gaps between their offsets come, and commits or puts back any
// of them in any order, against a model that only knows which records were committed.
func TestCommitsNeverPassAnUncommittedRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const partitions = 3
		session := newTestSession(partitions)
		var book outstanding
		var came []domain.Delivery
		ends := map[int32]int64{}
		done, away := map[domain.RecordPosition]bool{}, map[domain.RecordPosition]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				partition := rapid.Int32Range(0, partitions-1).Draw(t, "partition")
				offset := ends[partition] + rapid.Int64Range(0, 2).Draw(t, "gap")
				ends[partition] = offset + 1
				came = append(came, at(partition, offset))
				book.add(taken{delivery: at(partition, offset), session: session})
			},
			"commit": func(t *rapid.T) {
				chosen := rapid.SliceOfN(rapid.SampledFrom(append(slices.Clone(came), at(0, -1))), 1, 5).Draw(t, "chosen")
				before := maps.Clone(session.committed)
				settlement := book.settle(chosen)
				if rapid.Bool().Draw(t, "Kafka answers") {
					book.apply(settlement)
					for _, delivery := range chosen {
						done[delivery.Position] = done[delivery.Position] || !away[delivery.Position]
					}
				} else {
					require.Equal(t, before, session.committed)
				}
			},
			"put back": func(t *rapid.T) {
				chosen := rapid.SliceOfN(rapid.SampledFrom(append(slices.Clone(came), at(0, -1))), 1, 5).Draw(t, "chosen")
				require.Equal(t, len(chosen), book.putBack(chosen))
				for _, delivery := range chosen {
					if delivery.Position.Offset >= 0 && !done[delivery.Position] {
						away[delivery.Position] = true
					}
				}
			},
			"give again": func(t *rapid.T) {
				for _, delivery := range came {
					if away[delivery.Position] && rapid.Bool().Draw(t, "this one") {
						delete(away, delivery.Position)
						book.add(taken{delivery: delivery, session: session, again: true})
						book.add(taken{delivery: delivery, session: session, again: true}) // it was read twice
					}
				}
			},
			"": func(t *rapid.T) {
				oldest := maps.Clone(ends)
				var open, held []domain.Delivery
				for _, delivery := range came {
					if !done[delivery.Position] {
						open = append(open, delivery)
						if !away[delivery.Position] {
							held = append(held, delivery)
						}
						partition := delivery.Position.Partition
						oldest[partition] = min(oldest[partition], delivery.Position.Offset)
					}
				}
				require.ElementsMatch(t, held, book.first(len(came)+1), "what is neither committed nor put back is outstanding")
				for partition, committed := range session.committed {
					require.LessOrEqual(t, committed, oldest[partition], "an uncommitted record was passed")
				}
				if len(open) == 0 {
					for partition, end := range ends {
						require.Equal(t, end, session.committed[partition], "all is committed")
					}
				}
			},
		})
	})
}

func TestRecordsOfAnEndedSessionAreForgotten(t *testing.T) {
	over := make(chan struct{})
	ended, live := newTestSession(1), newTestSession(1)
	ended.over = over
	var book outstanding
	book.add(taken{delivery: at(0, 1), session: ended})
	close(over)
	book.add(taken{delivery: at(0, 2), session: ended})
	book.add(taken{delivery: at(0, 1), session: live})
	book.dropEnded()
	require.Equal(t, []domain.Delivery{at(0, 1)}, book.first(10))
	require.Same(t, live, book.records[0].session)
}

// A commit says which record stands right before its offset, so that the next reader can look whether it still does.
func TestACommitNamesTheRecordBeforeIt(t *testing.T) {
	session := newTestSession(1)
	var book outstanding
	records := make([]domain.Delivery, 3)
	for i := range records {
		records[i] = at(0, int64(i))
		records[i].Digest[0] = byte(i)
		book.add(taken{delivery: records[i], session: session})
	}
	lastOf := func(i int) fingerprint { return fingerprintOf(records[i].Digest, 0) }
	settlement := book.settle([]domain.Delivery{records[0], records[2]})
	require.Equal(t, map[int32]commitPoint{0: {1, mark{last: lastOf(0)}}}, settlement.points())
	book.apply(settlement)
	require.Equal(t, map[int32]commitPoint{0: {3, mark{last: lastOf(2)}}}, book.settle(records[1:2]).points())
}

// After the topic was made anew, a consumer may still hand back what it got of the old one.
func TestARecordAtTheSamePositionIsNotSettledWithTheOneThatStoodThereBefore(t *testing.T) {
	session := newTestSession(1)
	var book outstanding
	before, now := at(0, 0), at(0, 0)
	before.Digest[0], now.Digest[0] = 1, 2
	book.add(taken{delivery: now, session: session})
	settlement := book.settle([]domain.Delivery{before})
	require.Empty(t, settlement.positions)
	book.apply(settlement)
	require.Equal(t, []domain.Delivery{now}, book.first(10), "nobody has looked at this one")
}
