package main
import ("testing";"os";"context";"fmt";"github.com/cwmpgate/cwmpgate/cwmp/cwmptest")
func TestDbg(t *testing.T){
 tr,_:=readCorpus(os.Getenv("CWMPGATE_CORPUS"))
 stub := cwmptest.NewStub(cwmptest.StubConfig{Exchanges: tr.Exchanges}); stub.Open(); defer stub.Close()
 r := start(t, plan{acs: stub.Addr()})
 p,_ := cwmptest.NewPlayer(cwmptest.PlayerConfig{URL:r.url(),KeepHost:true,AddCookies:true})
 for i:=range tr.Exchanges { n:=len(stub.Arrived()); a,err:=p.Play(context.Background(), tr.Exchanges[i:i+1]); x:=tr.Exchanges[i]
  fmt.Println(i+1, len(stub.Arrived())-n, x.Request.Method, x.Request.Target, len(x.Request.Body), x.Response.Status, len(x.Response.Body), "got", a[0].Status, len(a[0].Body), err, x.Request.Header)}
 p.Close(); r.close()
 fmt.Println(r.log.String())
}
