package kafkaqueue

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/IBM/sarama"
)

// newSCRAM gives what sarama needs to log in by SCRAM, nil for another mechanism.
func newSCRAM(mechanism string) func() sarama.SCRAMClient {
	switch mechanism {
	case sarama.SASLTypeSCRAMSHA256:
		return func() sarama.SCRAMClient { return &scram{hash: sha256.New} }
	case sarama.SASLTypeSCRAMSHA512:
		return func() sarama.SCRAMClient { return &scram{hash: sha512.New} }
	}
	return nil
}

// scram is the client's side of RFC 5802: it proves that it knows the password without sending it, and checks that
// the server knows it as well.
type scram struct {
	hash                         func() hash.Hash
	user, password               string
	nonce, firstMessage, authMsg string
	salted                       []byte
	steps                        int
}

// Limits of what a server may ask of us.
const maxSCRAMIterations = 1 << 20

var scramName = strings.NewReplacer("=", "=3D", ",", "=2C")

// Begin implements sarama.SCRAMClient.
func (s *scram) Begin(user, password, _ string) error {
	s.user, s.password, s.nonce, s.steps = user, password, rand.Text(), 0
	return nil
}

// Done implements sarama.SCRAMClient.
func (s *scram) Done() bool { return s.steps == 3 }

// Step implements sarama.SCRAMClient.
func (s *scram) Step(challenge string) (string, error) {
	s.steps++
	switch s.steps {
	case 1:
		s.firstMessage = "n=" + scramName.Replace(s.user) + ",r=" + s.nonce
		return "n,," + s.firstMessage, nil
	case 2:
		return s.prove(challenge)
	case 3:
		return "", s.verify(challenge)
	}
	return "", errors.New("SCRAM: the server went on after the end")
}

func (s *scram) prove(challenge string) (string, error) {
	fields := scramFields(challenge)
	salt, err := base64.StdEncoding.DecodeString(fields["s"])
	iterations, countErr := strconv.Atoi(fields["i"])
	if err != nil || countErr != nil || iterations < 1 || iterations > maxSCRAMIterations ||
		!strings.HasPrefix(fields["r"], s.nonce) {
		return "", errors.New("SCRAM: the server's challenge is not valid")
	}
	if s.salted, err = pbkdf2.Key(s.hash, s.password, salt, iterations, s.hash().Size()); err != nil {
		return "", fmt.Errorf("SCRAM: %w", err)
	}
	final := "c=biws,r=" + fields["r"]
	s.authMsg = s.firstMessage + "," + challenge + "," + final
	clientKey := s.mac(s.salted, "Client Key")
	digest := s.hash()
	digest.Write(clientKey)
	proof := s.mac(digest.Sum(nil), s.authMsg)
	subtle.XORBytes(proof, proof, clientKey)
	return final + ",p=" + base64.StdEncoding.EncodeToString(proof), nil
}

func (s *scram) verify(answer string) error {
	signature, err := base64.StdEncoding.DecodeString(scramFields(answer)["v"])
	if err != nil || !hmac.Equal(signature, s.mac(s.mac(s.salted, "Server Key"), s.authMsg)) {
		return errors.New("SCRAM: the server does not know the password")
	}
	return nil
}

func (s *scram) mac(key []byte, text string) []byte {
	mac := hmac.New(s.hash, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func scramFields(message string) map[string]string {
	fields := map[string]string{}
	for field := range strings.SplitSeq(message, ",") {
		if name, value, found := strings.Cut(field, "="); found {
			fields[name] = value
		}
	}
	return fields
}
