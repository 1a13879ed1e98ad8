package api

import (
	_ "embed"

	"github.com/gin-gonic/gin"
)

//go:embed openapi.yaml
var openAPI []byte

// openAPIDocument answers GET /openapi.yaml with the description of all calls.
func (s *Server) openAPIDocument(c *gin.Context) { c.Data(200, "application/yaml", openAPI) }
