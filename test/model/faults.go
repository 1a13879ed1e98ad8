package model

// stores lets Kafka store a record that is on its way, and drops loses one.
func (m *machine) kafkaStores(index int) bool {
	record := m.s.Flying[index]
	if record.User == nobody || index > 0 && m.s.Flying[index-1] == record || !m.append(record) {
		return false
	}
	m.landed(index)
	m.say("Kafka stores the record of user %d, slot %d, epoch %d", record.User, record.Slot, record.Epoch)
	return true
}

func (m *machine) landed(index int) {
	copy(m.s.Flying[index:], m.s.Flying[index+1:])
	m.s.Flying[maxFlying-1] = Record{}
}

func (m *machine) kafkaDrops(index int) bool {
	record := m.s.Flying[index]
	if record.User == nobody || index > 0 && m.s.Flying[index-1] == record {
		return false
	}
	m.landed(index)
	m.say("the record of user %d, slot %d, epoch %d is lost on the way", record.User, record.Slot, record.Epoch)
	return true
}

// What can crash, as the choices of crash.
const (
	crashAPI       = 0
	crashConsumer  = crashAPI + apis
	crashRetryer   = crashConsumer + 1
	crashRelay     = crashRetryer + 1
	crashSweeper   = crashRelay + 1
	crashReleaser  = crashSweeper + 1
	crashRebuilder = crashReleaser + 1
	crashes        = crashRebuilder + rebuilders
)

// crash ends one process, which starts again with nothing in its hands.
func (m *machine) crash(what int) bool {
	if m.s.Budget[Crash] == 0 || !m.canCrash(what) {
		return false
	}
	m.s.Budget[Crash]--
	switch {
	case what < crashConsumer:
		m.endLease(what)
		m.s.APIs[what] = API{}
		m.say("api %d CRASHES", what)
	case what == crashConsumer:
		m.s.Consumer = Consumer{}
		m.say("the consumer CRASHES")
	case what == crashRetryer:
		m.s.Retry = Retry{}
		m.say("the retryer CRASHES in an attempt")
	case what == crashRelay:
		m.s.Relay = Relay{}
		m.say("the relay CRASHES")
	case what == crashSweeper:
		m.s.Sweeper = Sweeper{}
		m.say("the sweep CRASHES before it brings the settings")
	case what == crashReleaser:
		m.s.Ledger.Unreleased = 0
		m.say("the operator's process CRASHES before the gate is told of a revocation")
	default:
		m.s.Rebuilds[what-crashRebuilder] = Rebuild{}
		m.say("rebuilder %d CRASHES", what-crashRebuilder)
	}
	return true
}

func (m *machine) canCrash(what int) bool {
	switch {
	case what < crashConsumer:
		return m.s.APIs[what] != API{OldMaster: m.s.APIs[what].OldMaster}
	case what == crashConsumer:
		return m.s.Consumer.At != consumerIdle
	case what == crashRetryer:
		return m.s.Retry.At != retryIdle
	case what == crashRelay:
		return m.s.Relay.At != relayIdle
	case what == crashSweeper:
		return m.s.Sweeper.At != 0
	case what == crashReleaser:
		return m.s.Ledger.Unreleased != 0 && !m.has(SweepReleases)
	}
	return m.s.Rebuilds[what-crashRebuilder].At != rebuildIdle
}

func (m *machine) loseRedis(int) bool {
	if m.s.Gate.State == gateMissing || !m.spend(LoseRedis) {
		return false
	}
	m.say("REDIS LOSES EVERYTHING")
	m.s.Gate, m.s.Ghost.Revoked = Gate{Run: m.newRun()}, 0
	return true
}

func (m *machine) newRun() uint8 {
	m.s.Earlier = [2]Gate{}
	m.s.Ghost.NextRun++
	return m.s.Ghost.NextRun - 1
}

// rollBack is a failover to a replica that lacks the last write, or the last two. The old master may go on serving the
// api processes that are connected to it.
func (m *machine) rollBack(choice int) bool {
	writes, split := choice%2, choice/2 == 1
	to := m.s.Earlier[writes]
	if to.State == gateMissing || to == m.s.Gate || m.s.Budget[RollBack] == 0 || split && !m.spend(SplitBrain) {
		return false
	}
	m.s.Budget[RollBack]--
	m.say("FAILOVER, the last %d writes are lost", writes+1)
	m.s.Ghost.Revoked = 0
	if split {
		m.say("(the old master still serves)")
		m.s.Old, m.s.HasOld = m.s.Gate, 1
		for i := range m.c.APIs {
			m.s.APIs[i].OldMaster = 1
		}
	}
	m.s.Gate = to
	m.s.Gate.Run = m.newRun()
	return true
}

func (m *machine) leaveOldMaster(index int) bool {
	if m.s.APIs[index].OldMaster == 0 {
		return false
	}
	m.s.APIs[index].OldMaster = 0
	m.say("api %d loses its connection to the old master", index)
	return true
}

func (m *machine) restartRedis(int) bool {
	if m.s.Gate.State == gateMissing || !m.spend(RestartRedis) {
		return false
	}
	m.say("Redis restarts with everything")
	m.s.Gate.Run = m.newRun()
	return true
}

// loseUser is a key of Redis that was spoiled: one winner is gone.
func (m *machine) loseUser(index int) bool {
	held := &m.s.Gate.Users[index]
	if *held == nobody || *held == owed || *held == revoked || !m.spend(LoseUser) {
		return false
	}
	m.say("REDIS LOSES user %d of the gate", index+1)
	*held = nobody
	return true
}

func (m *machine) refuseRow(index int) bool {
	if m.s.Ledger.Refuses>>index&1 == 1 || index >= int(m.c.Users) || !m.spend(RefuseRow) {
		return false
	}
	m.s.Ledger.Refuses |= 1 << index
	m.say("the database refuses the row of user %d from now on", index+1)
	return true
}

func (m *machine) acceptRows(int) bool {
	if m.s.Ledger.Refuses == 0 {
		return false
	}
	m.s.Ledger.Refuses = 0
	m.say("the database accepts rows again")
	return true
}

// loseRecord is a retention that passes the committed offset.
func (m *machine) loseRecord(int) bool {
	if m.s.Topic[0].User == nobody || m.s.Consumer.At != consumerIdle || !m.spend(LoseRecord) {
		return false
	}
	m.say("KAFKA LOSES the record of user %d, and all before it", m.s.Topic[0].User)
	m.commitOffset()
	m.s.Stored = [maxUsers]Record{}
	return true
}

// recreateTopic lets the offset recur that made an event; what the topic lost as well is loseRecord's.
func (m *machine) recreateTopic(index int) bool {
	if m.s.Events[index].Status == 0 || m.s.Topic[0].User != nobody || m.s.Consumer.At != consumerIdle || !m.spend(RecreateTopic) {
		return false
	}
	m.say("THE TOPIC IS MADE AGAIN; the offset of user %d's event comes next", m.s.Events[index].User)
	m.s.Events[index].AtHead = 1
	m.s.Stored = [maxUsers]Record{}
	return true
}

// loseCommit is a failover of the database that lacks a coupon, or a coupon and its revocation.
func (m *machine) loseCommit(index int) bool {
	l := &m.s.Ledger
	row := &l.Rows[index]
	if *row == nobody || !m.spend(LedgerLosesCommit) {
		return false
	}
	m.say("THE DATABASE LOSES the coupon of user %d", index+1)
	if *row&wasRevoked != 0 {
		m.say("and that it was revoked")
		m.s.Ghost.Ended |= 1 << index
		l.Unreleased &^= 1 << index
	}
	*row = nobody
	return true
}

// replicaCatchesUp copies the ledger to its replica; before the first time the replica knows of nobody.
func (m *machine) replicaCatchesUp(int) bool {
	now := Replica{m.s.Ledger.Epoch, m.s.Ledger.Rows}
	if m.s.Replica == now || !m.spend(ReplicaLags) {
		return false
	}
	m.s.Replica = now
	m.say("the ledger's replica catches up")
	return true
}

// fromOutside is a record that another program puts on the topic.
func (m *machine) fromOutside(index int) bool {
	user := uint8(index + 1)
	if !m.mayAsk(user) || m.s.Budget[FromOutside] == 0 || !m.append(Record{User: user}) {
		return false
	}
	m.s.Budget[FromOutside]--
	m.s.Ghost.Applied |= 1 << index
	m.say("another program puts user %d on the topic", user)
	return true
}
