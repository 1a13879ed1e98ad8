package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"firstcome/admission"
	"firstcome/operator"
)

// Limits of one connection; together with Config they bound what a client can hold of the server.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 16 << 10
	// storeTimeout bounds what a question to the stores may take outside of an application.
	storeTimeout = 2 * time.Second
	// adminTimeout bounds an operator's call.
	adminTimeout = 10 * time.Second
)

// Server answers applicants and operators.
type Server struct {
	cfg         Config
	ports       Ports
	logger      *slog.Logger
	engine      *gin.Engine
	admission   *admission.Service
	figures     *figures
	readiness   *cached[readiness]
	metrics     *metrics
	console     *console
	connections *connectionLimit
	operators   *operators
	// What operators do, for the admin API and the console.
	audits        *operator.Audits
	campaigns     *operator.Campaigns
	eventSteps    *operator.FailEvents
	pipelineSteps *operator.Pipeline

	// bulkPlaces and exports hold one entry for each bulk job, and each export, under way in this process.
	bulkPlaces, exports chan struct{}

	// background ends with the server.
	background context.Context
	stop       context.CancelFunc
	running    sync.WaitGroup
}

// New makes a server and starts to load the campaigns in the background, unless it is for operations only; Close ends
// that.
// The errors name what is wrong with the configuration, the ports or the registration of the metrics.
func New(cfg Config, ports Ports, registerer prometheus.Registerer, logger *slog.Logger) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := errors.Join(cfg.check(), ports.check(cfg.OperationsOnly)); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s, err := newServer(ctx, cfg, ports, registerer, logger)
	if err != nil {
		stop()
		return nil, err
	}
	s.stop = stop
	if !cfg.OperationsOnly {
		s.running.Go(func() { s.admission.Run(ctx) })
		s.running.Go(func() { s.console.lags.run(ctx) })
	}
	return s, nil
}

func newServer(
	ctx context.Context, cfg Config, ports Ports, registerer prometheus.Registerer, logger *slog.Logger,
) (*Server, error) {
	applications, err := admission.New(ctx, cfg.Admission, ports.forAdmission(), logger)
	if err != nil {
		return nil, err
	}
	measured, err := newMetrics(registerer, applications.RefusalBytes)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, ports: ports, logger: logger, metrics: measured, admission: applications,
		figures:    newFigures(ctx, ports.GateReader, ports.LedgerCounter),
		operators:  newOperators(cfg.AdminToken, cfg.Tokens),
		audits:     operator.NewAudits(ports.Auditor, ports.ActionLog),
		eventSteps: operator.NewFailEvents(ports.FailEventOperator), pipelineSteps: operator.NewPipeline(ports.SettingStore),
		bulkPlaces: make(chan struct{}, maxBulkAtOnce), exports: make(chan struct{}, maxExports), background: ctx,
	}
	s.connections = newConnectionLimit(cfg.MaxConnections)
	s.readiness = newCached(ctx, s.checkReadiness)
	s.campaigns = operator.NewCampaigns(ports.CampaignWriter, ports.ActionLog, applications.CampaignChanged)
	s.console = newConsole(ctx, s)
	s.engine, err = s.newEngine()
	return s, err
}

// Handler gives the handler of all routes, for tests and for servers other than Run's.
func (s *Server) Handler() http.Handler { return s.engine }

// Close ends what New started; a question to a store that is under way gives up soon after. Requests under way are not
// touched. Closing twice is harmless.
func (s *Server) Close() {
	s.stop()
	s.console.live.close()
	s.running.Wait()
}

// Run serves on the listener until the context ends; then it takes no new connection, waits up to
// Config.ShutdownTimeout for the requests under way, closes the server and returns nil. The error says that the listener
// failed, or that requests were still under way when that time was over; their admitted users are left to the relay.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	defer s.Close()
	server := &http.Server{
		Handler:           s.engine,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      readTimeout + max(s.admission.Longest(), adminTimeout),
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnState:         s.connections.changed,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn),
	}
	server.RegisterOnShutdown(s.console.live.close)
	served := make(chan error, 1)
	go func() { served <- server.Serve(s.connections.listen(listener)) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	return s.shutdown(server, served)
}

func (s *Server) shutdown(server *http.Server, served <-chan error) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.ShutdownTimeout)
	defer cancel()
	err := server.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("requests were still under way after %s: %w", s.cfg.ShutdownTimeout, errors.Join(err, server.Close()))
	}
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}
