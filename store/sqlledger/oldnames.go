package sqlledger

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode"
)

// Kept JSON has the names of the API: "rows_per_second". Versions that kept it under the names of Go's fields
// ("RowsPerSecond") may have left some behind, and during an upgrade others still write it.

// decodeKept reads kept JSON into target, under either names.
func decodeKept(text string, target any) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber() // a user ID has more digits than a float
	var kept any
	if err := decoder.Decode(&kept); err != nil {
		return err
	}
	renamed, err := json.Marshal(withNewNames(kept))
	if err != nil {
		return err
	}
	return json.NewDecoder(bytes.NewReader(renamed)).Decode(target)
}

func withNewNames(value any) any {
	switch value := value.(type) {
	case map[string]any:
		renamed := make(map[string]any, len(value))
		for name, inner := range value {
			renamed[newName(name)] = withNewNames(inner)
		}
		return renamed
	case []any:
		for i := range value {
			value[i] = withNewNames(value[i])
		}
	}
	return value
}

// newName makes RowsPerSecond rows_per_second, and UserID user_id. A new name stays as it is.
func newName(name string) string {
	if name == "Every" {
		return "every_ns"
	}
	var out strings.Builder
	wasLower := false
	for _, r := range name {
		if wasLower && unicode.IsUpper(r) {
			out.WriteByte('_')
		}
		out.WriteRune(unicode.ToLower(r))
		wasLower = unicode.IsLower(r)
	}
	return out.String()
}
