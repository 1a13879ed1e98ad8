package api

import (
	"bytes"
	"embed"
	"html/template"
	"mime"
	"net/http"
	"path"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

//go:embed applicant
var applicantFiles embed.FS

var applicantTemplate = template.Must(template.ParseFS(applicantFiles, "applicant/page.html"))

// applicantPage answers GET /c/{campaign}, a page for applicants. It is a template to copy: its script uses nothing but
// the public calls. With ?user_id= nobody is asked for the number; anybody who puts the page into a shop writes the ID of
// the signed-in user there.
func (s *Server) applicantPage(c *gin.Context) {
	campaign, err := s.admission.Campaign(c.Request.Context(), c.Param("code"))
	if err != nil {
		s.refuse(c, err)
		return
	}
	page := struct {
		Code, Name, Quota, User, Assets string
	}{Code: campaign.Code, Name: campaign.Name, Quota: grouped(digits(campaign.Quota)), Assets: "/c/" + campaign.Code + "/page"}
	if user, err := domain.ParseUserID(c.Query("user_id")); err == nil {
		page.User = user.String()
	}
	var body bytes.Buffer
	if err := applicantTemplate.Execute(&body, page); err != nil {
		s.refuse(c, domain.Wrap(domain.CodeInternal, err, "the page could not be made"))
		return
	}
	c.Data(http.StatusOK, "text/html; charset=utf-8", body.Bytes())
}

// applicantAsset answers with the style or the script of that page.
func (s *Server) applicantAsset(c *gin.Context) {
	name := c.Param("file")
	content, err := applicantFiles.ReadFile("applicant/" + name)
	if err != nil || path.Ext(name) == ".html" {
		s.refuse(c, domain.Errorf(domain.CodeNotFound, "there is nothing at this address"))
		return
	}
	c.Header("Cache-Control", "public, max-age=300")
	c.Data(http.StatusOK, mime.TypeByExtension(path.Ext(name)), content)
}

// mountApplicantPage adds the page and its files to the routes.
func (s *Server) mountApplicantPage(engine *gin.Engine) {
	engine.GET("/c/:code", secureHeaders, limitTime, s.applicantPage)
	engine.GET("/c/:code/page/:file", secureHeaders, s.applicantAsset)
}
