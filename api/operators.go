package api

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"hash/maphash"
	"net/netip"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/time/rate"

	"firstcome/domain"
)

const (
	// guessBurst is how many wrong tokens in a row a client may send; after that, one each guessPause.
	guessBurst = 10
	guessPause = 5 * time.Second
	// guessBuckets bounds the memory of wrong tokens. Clients share them by a hash that nobody outside can foresee.
	guessBuckets = 1024
	// sharedName is who acts with the token that all operators share.
	sharedName = "admin"
	// hashPrefix tells how the token of a line is hashed. A token is random and long, so a fast hash is enough.
	hashPrefix = "sha256:"
)

// OperatorToken is one operator's way in.
type OperatorToken struct {
	Name string
	Role domain.Role
	// Hash is the SHA-256 of the token.
	Hash [sha256.Size]byte
}

// NewOperatorToken makes up a token for an operator, and the line that stands for it in the configuration. The token
// itself is kept nowhere. The error names what is wrong with the name or the role.
func NewOperatorToken(name string, role domain.Role) (token, line string, err error) {
	token = rand.Text()
	hash := sha256.Sum256([]byte(token))
	line = name + ":" + string(role) + ":" + hashPrefix + hex.EncodeToString(hash[:])
	_, err = ParseOperatorTokens([]string{line})
	return token, line, err
}

// ParseOperatorTokens reads lines such as "alice:operator:sha256:9f86…"; names must differ. An error never shows the
// line itself, which may hold a token that was put there by mistake.
func ParseOperatorTokens(lines []string) ([]OperatorToken, error) {
	tokens := make([]OperatorToken, 0, len(lines))
	names := map[string]bool{sharedName: true}
	for i, line := range lines {
		token, err := parseOperatorToken(strings.TrimSpace(line))
		if err != nil {
			return nil, fmt.Errorf("token %d: %w", i+1, err)
		}
		if names[token.Name] {
			return nil, fmt.Errorf("token %d: the name %q is taken", i+1, token.Name)
		}
		names[token.Name] = true
		tokens = append(tokens, token)
	}
	return tokens, nil
}

func parseOperatorToken(line string) (OperatorToken, error) {
	name, rest, _ := strings.Cut(line, ":")
	role, hash, found := strings.Cut(rest, ":")
	if !found {
		return OperatorToken{}, fmt.Errorf("it must read NAME:ROLE:%sHEX", hashPrefix)
	}
	if name == "" || len([]rune(name)) > maxActorRunes || strings.ContainsFunc(name, func(r rune) bool { return !isNameRune(r) }) {
		return OperatorToken{}, fmt.Errorf("a name has 1 to %d letters, digits, or any of .@_-", maxActorRunes)
	}
	token := OperatorToken{Name: name, Role: domain.Role(role)}
	if token.Role != domain.RoleOperator && token.Role != domain.RoleViewer {
		return OperatorToken{}, fmt.Errorf("the role must be %s or %s", domain.RoleOperator, domain.RoleViewer)
	}
	raw, err := hex.DecodeString(strings.TrimPrefix(hash, hashPrefix))
	if err != nil || len(raw) != len(token.Hash) || !strings.HasPrefix(hash, hashPrefix) {
		return OperatorToken{}, fmt.Errorf("the hash must read %s and %d hexadecimal digits", hashPrefix, 2*len(token.Hash))
	}
	copy(token.Hash[:], raw)
	return token, nil
}

// isNameRune says whether a rune may stand in an operator's name.
func isNameRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(".@_-", r)
}

// operators knows who may come in, and slows down anybody who guesses.
type operators struct {
	tokens  []OperatorToken
	seed    maphash.Seed
	guesses [guessBuckets]guessBucket
}

// guessBucket holds what is left of the wrong tokens that the clients of one bucket may send.
type guessBucket struct {
	mu   sync.Mutex
	left *rate.Limiter
}

// newOperators takes the token that all share, unless it is empty, and the named ones.
func newOperators(shared string, named []OperatorToken) *operators {
	o := &operators{seed: maphash.MakeSeed()}
	if shared != "" {
		o.tokens = append(o.tokens, OperatorToken{Name: sharedName, Role: domain.RoleOperator, Hash: sha256.Sum256([]byte(shared))})
	}
	o.tokens = append(o.tokens, named...)
	return o
}

// identify says whose token it is. The bearer tokens of the API and the console's login both come through here.
// CodeUnauthorized: nobody's. CodeRateLimited: the client's address has sent too many wrong ones; a right one is not
// looked at either, or guessing would go on at full speed.
func (o *operators) identify(client, token string) (domain.Operator, error) {
	if token == "" {
		return domain.Operator{}, errNoToken
	}
	bucket := o.bucket(client)
	bucket.mu.Lock()
	defer bucket.mu.Unlock()
	if bucket.left == nil {
		bucket.left = rate.NewLimiter(rate.Every(guessPause), guessBurst)
	}
	if wait := 1 - bucket.left.Tokens(); wait > 0 {
		err := domain.Errorf(domain.CodeRateLimited, "too many wrong tokens came from this address; wait before the next")
		err.RetryAfter = time.Duration(wait * float64(guessPause))
		return domain.Operator{}, err
	}
	operator, known := o.find(token)
	if !known {
		bucket.left.Allow()
		return domain.Operator{}, errNoToken
	}
	return operator, nil
}

var errNoToken = domain.Errorf(domain.CodeUnauthorized, "")

// find compares hashes with all tokens, whether or not one has matched already, so that the time it takes shows
// neither the content nor the length nor the place of a token.
func (o *operators) find(token string) (domain.Operator, bool) {
	given := sha256.Sum256([]byte(token))
	found, known := domain.Operator{}, false
	for _, one := range o.tokens {
		if subtle.ConstantTimeCompare(given[:], one.Hash[:]) == 1 {
			found, known = domain.Operator{Name: one.Name, Role: one.Role}, true
		}
	}
	return found, known
}

// bucket counts the addresses of one IPv6 network as one client: anybody who has one, has 2^64 addresses.
func (o *operators) bucket(client string) *guessBucket {
	if address, err := netip.ParseAddr(client); err == nil && address.Is6() && !address.Is4In6() {
		if network, err := address.Prefix(64); err == nil {
			client = network.String()
		}
	}
	return &o.guesses[maphash.String(o.seed, client)%guessBuckets]
}
