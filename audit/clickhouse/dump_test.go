package clickhouse
import ("testing";"os";"github.com/cwmpgate/cwmpgate/audit")
func TestDumpView(t *testing.T){ for _,v:=range audit.Views(){ s,err:=viewText(v,scope{}); if err!=nil{t.Fatal(err)}; os.WriteFile("/tmp/"+string(v)[:2]+".sql",[]byte(s),0o644)}}
