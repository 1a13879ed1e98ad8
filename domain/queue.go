package domain

// Delivery is one record as it came from the topic.
type Delivery struct {
	Position RecordPosition
	// Digest is of the whole record, and the same each time that it is delivered.
	Digest RecordDigest
	// Raw is the beginning of the record's value, at most MaxRawBytes of it.
	Raw []byte
	// Winner is what the record says. With External set only its UserID is.
	Winner Winner
	// External is true for a record without our headers: an application from outside, for the default campaign.
	External bool
	// Problem says why the record can't be read; nil when it can. Winner is then empty.
	Problem error
}
