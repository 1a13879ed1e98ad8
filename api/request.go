package api

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"firstcome/domain"
)

// readBody appends the body of a request to a buffer. CodeUnsupportedMedia, CodeBodyTooLarge, CodeInvalidRequest: the client
// broke off.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, buffer []byte) ([]byte, error) {
	if !isJSON(r.Header["Content-Type"]) {
		return nil, errNotJSON
	}
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	body, err := readAll(http.MaxBytesReader(w, r.Body, limit), buffer)
	_, exceeded := errors.AsType[*http.MaxBytesError](err)
	switch {
	case exceeded:
		return nil, tooLarge(limit)
	case err != nil:
		return nil, domain.Wrap(domain.CodeInvalidRequest, err, "the body could not be read to its end")
	}
	return body, nil
}

var errNotJSON = domain.Errorf(domain.CodeUnsupportedMedia, "the header Content-Type must say application/json, in UTF-8")

func tooLarge(limit int64) error {
	err := domain.Errorf(domain.CodeBodyTooLarge, "the body must not be larger than %d bytes", limit)
	err.Field = "body"
	return err
}

// readAll is io.ReadAll into a buffer that is there already.
func readAll(reader io.Reader, buffer []byte) ([]byte, error) {
	const growth = 512
	for {
		if len(buffer) == cap(buffer) {
			buffer = append(buffer, make([]byte, growth)...)[:len(buffer)]
		}
		n, err := reader.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		if errors.Is(err, io.EOF) {
			return buffer, nil
		}
		if err != nil {
			return buffer, err
		}
	}
}

// isJSON takes application/json with any parameters but a charset other than UTF-8.
func isJSON(contentTypes []string) bool {
	if len(contentTypes) != 1 {
		return false
	}
	if contentTypes[0] == "application/json" {
		return true
	}
	mediaType, parameters, err := mime.ParseMediaType(contentTypes[0])
	charset, stated := parameters["charset"]
	return err == nil && mediaType == "application/json" && (!stated || strings.EqualFold(charset, "utf-8"))
}
