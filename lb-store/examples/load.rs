//! Measures a directory store: `load N` prints one line of JSON. Run it with `--release`.
//!
//! `files_ms`: N Services in N files until the first listing; `one_file_ms`: in one file; `edit_ms`: from one file's
//! edit to the listing that shows it (of which 10 ms are settling); `create_ms`: N VirtualIPs; `objects_ms`: a second
//! process's first listing of them; `rss_mib`: of this process at the end.
#![expect(clippy::print_stdout, reason = "it prints its result")]

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Service;
use kube::core::ObjectMeta;
use lb_api::{VirtualIP, VirtualIPSpec};
use lb_store::{Directory, Key, Store, Writer};

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let count: usize = std::env::args().nth(1).as_deref().unwrap_or("10000").parse()?;
    let root = std::env::temp_dir().join(format!("store-load-{}", std::process::id()));
    let (many, one) = (root.join("many"), root.join("one"));
    fs::create_dir_all(&many)?;
    fs::create_dir_all(&one)?;
    for index in 0..count {
        fs::write(many.join(format!("{index}.yaml")), service(index, 80))?;
    }
    let all: String = (0..count).map(|index| format!("---\n{}", service(index, 80))).collect();
    fs::write(one.join("all.yaml"), all)?;

    let (store, files) = first_listing(&many, Writer::Controller).await?;
    let edit = edit(&store, &many).await?;
    let (_other, one_file) = first_listing(&one, Writer::None).await?;
    let start = Instant::now();
    for index in 0..count {
        store.create(&virtual_ip(index)).await?;
    }
    store.sync().await?;
    let create = start.elapsed();
    let start = Instant::now();
    let reader = Store::Directory(Directory::open(&many, Writer::Agent("node-1".into()))?);
    let mut addresses = reader.reflect::<VirtualIP>();
    addresses.ready().await?;
    let objects = start.elapsed();
    println!(
        "{{\"services\":{count},\"files_ms\":{},\"one_file_ms\":{},\"edit_ms\":{},\"create_ms\":{},\"objects_ms\":{},\
         \"objects\":{},\"rss_mib\":{}}}",
        files.as_millis(),
        one_file.as_millis(),
        edit.as_millis(),
        create.as_millis(),
        objects.as_millis(),
        addresses.current().objects.len(),
        rss_mib()?
    );
    fs::remove_dir_all(root)?;
    Ok(())
}

async fn first_listing(dir: &Path, writer: Writer) -> Result<(Store, Duration), Failure> {
    let start = Instant::now();
    let store = Store::Directory(Directory::open(dir, writer)?);
    store.reflect::<Service>().ready().await?;
    Ok((store, start.elapsed()))
}

async fn edit(store: &Store, dir: &Path) -> Result<Duration, Failure> {
    let mut services = store.reflect::<Service>();
    services.ready().await?;
    let key = Key::new("default", "web-7");
    let start = Instant::now();
    fs::write(dir.join("7.yaml"), service(7, 81))?;
    loop {
        let listing = services.current();
        let spec = listing.objects.get(&key).and_then(|service| service.spec.as_ref());
        if spec.and_then(|spec| spec.ports.as_ref()?.first()).is_some_and(|port| port.port == 81) {
            return Ok(start.elapsed());
        }
        services.changed().await?;
    }
}

fn service(index: usize, port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: web-{index}\n  annotations:\n    lb.herald.dev/ip-count: \
         \"3\"\nspec:\n  type: LoadBalancer\n  ipFamilyPolicy: RequireDualStack\n  selector:\n    app: web\n  ports:\n  \
         - name: http\n    port: {port}\n"
    )
}

fn virtual_ip(index: usize) -> VirtualIP {
    let address = format!("10.{}.{}.{}", index >> 16, (index >> 8) & 255, index & 255);
    VirtualIP {
        metadata: ObjectMeta { name: Some(address.clone()), ..ObjectMeta::default() },
        spec: VirtualIPSpec {
            address,
            pool: "ingress".into(),
            nodes: (1..=8).map(|node| format!("node-{node}")).collect(),
            ranking_key: format!("default/web-{index}/0"),
            ..VirtualIPSpec::default()
        },
        status: None,
    }
}

fn rss_mib() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? / 1024)
}
