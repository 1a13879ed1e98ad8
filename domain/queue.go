package domain

// Delivery is one record as it came from the topic.
type Delivery struct {
	Position RecordPosition
	// Digest is the same each time that the record is delivered.
	Digest RecordDigest
	// Raw is the record's value, as it came.
	Raw []byte
	// Winner is what the record says. With External set only its UserID is.
	Winner Winner
	// External is true for a record without our headers: an application from outside, for the default campaign.
	External bool
	// Problem says why the record can't be read; nil when it can. Winner is then empty.
	Problem error
}
