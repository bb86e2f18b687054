package chtest

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/ClickHouse/ch-go/compress"

	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest/internal/chdb"
)

func (srv *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ping", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "Ok.\n") })
	mux.Handle(faultPath, srv.faults)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		q := &httpQuery{server: srv, w: w, r: r, url: r.URL.Query()}
		if err := q.serve(); err != nil && !errors.Is(err, errDropped) {
			q.fail(err)
		}
	})
	return mux
}

// httpQuery is one HTTP query and its answer.
type httpQuery struct {
	*server
	w    http.ResponseWriter
	r    *http.Request
	url  url.Values
	sql  string
	kind On
	ins  insert // where rows is set
	rows bool   // rows of the client's follow
	body []byte // those rows

	format   string           // of the result
	revision int              // of Native blocks, as the client asked for
	frame    *compress.Writer // nil without compress=1
	total    chdb.Result
	started  bool // a part of the result has been sent
}

func (q *httpQuery) serve() error {
	if err := q.server.strike(q.drop, occasion{protocol: HTTP}, Refuse); err != nil {
		return err
	}
	if err := q.login(); err != nil {
		return err
	}
	if err := q.read(); err != nil {
		return err
	}
	if q.sql == "" {
		if q.r.Method == http.MethodGet {
			_, err := io.WriteString(q.w, "Ok.\n")
			return err
		}
		return chdb.Errorf(62, "Syntax error: Empty query")
	}
	if err := q.strike(AtQuery, Close, Error); err != nil {
		return err
	}
	if q.kind == OnInsert { // the rows have come with the query here
		if err := q.strike(AtData, Close, Error); err != nil {
			return err
		}
	}
	s, giveBack, err := q.engine.Borrow(q.url.Get("session_id"))
	if err != nil {
		return err
	}
	clean := false
	defer func() { giveBack(clean) }()
	err = q.run(s)
	// A query that was killed is only gone for good with its session.
	clean = err == nil && !changesSession(q.sql)
	return err
}

// drop closes the connection as a fault asks for it.
func (q *httpQuery) drop(f *Fault) {
	c, _, err := http.NewResponseController(q.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	closeConn(c, f)
}

func (q *httpQuery) strike(at At, modes ...Mode) error {
	return q.server.strike(q.drop, occasion{HTTP, q.kind, q.sql, at}, modes...)
}

func (q *httpQuery) login() error {
	user, password, ok := q.r.BasicAuth()
	if u := q.r.Header.Get("X-ClickHouse-User"); u != "" {
		user, password = u, q.r.Header.Get("X-ClickHouse-Key")
	} else if !ok {
		user, password = q.url.Get("user"), q.url.Get("password")
	}
	return q.authenticate(user, password)
}

// read finds the statement and its rows in URL and body.
func (q *httpQuery) read() error {
	body, err := q.readBody()
	if err != nil {
		return err
	}
	q.sql, q.body = q.url.Get("query"), body
	if q.sql == "" {
		q.sql, q.body = string(body), nil
	}
	q.ins, q.rows = parseInsert(q.sql)
	if len(q.body) > 0 && !q.rows { // a query may go on in the body
		q.sql, q.body = q.sql+"\n"+string(q.body), nil
		q.ins, q.rows = parseInsert(q.sql)
	}
	q.kind = kindOf(q.sql)
	return nil
}

// run does what the query asks for, in session s, and sends the result.
func (q *httpQuery) run(s *chdb.Session) error {
	database := q.r.Header.Get("X-ClickHouse-Database")
	if database == "" {
		database = q.url.Get("database")
	}
	if database != "" {
		if err := s.Exec("USE " + chdb.QuoteName(database)); err != nil {
			return err
		}
		defer s.Exec("USE default")
	}
	settings, params := httpSettings(q.url)
	restore, err := s.With(settings)
	if err != nil {
		return err
	}
	defer restore()
	sql := q.runnable(q.sql)
	q.announce(sql)
	switch {
	case q.rows:
		q.total, err = q.ins.run(s, []byte(q.ins.inline), q.body)
	case streams(sql) && strings.EqualFold(q.format, "Native"):
		err = q.stream(s, sql, params)
	default:
		q.total, err = s.Query(sql, q.format, params)
	}
	if err != nil {
		return err
	}
	if firstWord(sql) == "SET" && q.url.Get("session_id") != "" {
		s.Remember(sql)
	}
	if err := q.strike(AtData, Delay); err != nil {
		return err
	}
	if err := q.strike(AtData, ApplyClose, ApplyError); err != nil {
		return err
	}
	q.summarize()
	return q.send(q.total.Data)
}

// stream sends the result as it comes, and kills the query when the client goes.
func (q *httpQuery) stream(s *chdb.Session, sql string, params chdb.Params) error {
	sql, kill := q.mark(sql)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-ended:
		case <-q.r.Context().Done():
			kill()
		}
	}()
	return s.Stream(sql, q.format, params, func(r chdb.Result) error { return q.send(r.Data) })
}

// announce finds the result's format and says it in the answer's header.
func (q *httpQuery) announce(sql string) {
	_, q.format = withoutFormat(sql)
	for _, f := range []string{q.url.Get("default_format"), q.r.Header.Get("X-ClickHouse-Format"), "TabSeparated"} {
		if q.format == "" {
			q.format = f
		}
	}
	if strings.EqualFold(q.format, "Native") {
		// Clients that do not say get FORMAT Native as the engine writes it.
		version, _ := strconv.Atoi(q.url.Get("client_protocol_version"))
		q.revision = min(version, revision)
	}
	if q.url.Get("compress") == "1" {
		q.frame = compressor(q.url.Get("network_compression_method"))
	}
	h := q.w.Header()
	h.Set("X-ClickHouse-Format", q.format)
	h.Set("X-ClickHouse-Timezone", q.engine.Timezone)
	h.Set("X-ClickHouse-Server-Display-Name", displayName)
	h.Set("Content-Type", contentType(q.format))
	if id := q.url.Get("query_id"); id != "" {
		h.Set("X-ClickHouse-Query-Id", id)
	}
}

// httpSettings are the URL's parameters that the HTTP interface itself has no use for.
func httpSettings(q url.Values) (settings []chdb.Setting, params chdb.Params) {
	params = chdb.Params{}
	for k := range q {
		switch k {
		case "query", "database", "default_format", "compress", "decompress", "client_protocol_version",
			"network_compression_method", "network_zstd_compression_level", "query_id", "session_id", "session_timeout",
			"session_check", "close_session", "user", "password", "quota_key", "role", "buffer_size",
			"wait_end_of_query", "stacktrace", "hide_password":
		default:
			if name, ok := strings.CutPrefix(k, "param_"); ok {
				params[name] = q.Get(k)
			} else {
				settings = append(settings, chdb.Setting{Name: k, Value: q.Get(k)})
			}
		}
	}
	return settings, params
}
