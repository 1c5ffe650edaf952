//! The run: what is measured after what.

use std::{
    net::Ipv4Addr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::ensure;
use lb_tests::{
    lab::{Lab, Shape},
    spread::{Spread, ms},
    usage::Usage,
    wait,
};
use lb_tests_kube::{Identity, Plane, PlaneShape};

use crate::{
    Args, answers,
    audit::Audit,
    bare,
    controller::{Controller, IDENTITY},
    figures::Figures,
    services, singles,
};

const FIRST: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 0);
/// Big enough for all that is made.
const POOL: &str = "10.128.0.0/15";
/// After the last write: what was only needed for it is gone.
const SETTLED: Duration = Duration::from_secs(5);
/// How long that may take, and the processor time in a second that is none.
const REST: Duration = Duration::from_secs(120);
const AT_REST: Duration = Duration::from_millis(200);

pub(crate) fn measure(args: &Args) -> anyhow::Result<Figures> {
    let mut lab = Lab::new(Shape::default())?;
    lab.attach_pass()?;
    let identities = [IDENTITY, "agent", "bare"].map(Identity::user).to_vec();
    let mut plane = Plane::start(&lab, PlaneShape { controllers: false, audit: true, identities })?;
    install(&plane)?;
    let (admin, bare) = (&plane.admin().clone(), plane.access("bare"));
    let mut audit = Audit::new(plane.audit_log());
    let mut figures = Figures { services: args.services, release_build: !cfg!(debug_assertions), ..Figures::default() };

    eprintln!("{} Services are made", args.services);
    let names = |prefix: &str| (0..args.services).map(|number| format!("{prefix}-{number}")).collect::<Vec<_>>();
    services::serve_all(admin, &names("web"))?;
    services::create(admin, &names("web"), None)?;
    figures.bare_rates.push(bare::rate(admin, &bare, 0, args.bare)?);
    audit.of(IDENTITY)?;

    eprintln!("the controller starts: {:.0} writes a second of the bare loop before", figures.bare_rates[0]);
    let mut controller = Controller::start(&lab, &plane)?;
    controller.wait_for_writes("create-event", args.services)?;
    let took = controller.started.elapsed();
    ensure!(services::shown(admin, "web-")? == args.services, "not every Service shows an address");
    let all = args.services as f64;
    figures.before_seconds = took.as_secs_f64();
    figures.before_services_per_second = all / took.as_secs_f64();
    figures.before_writes_per_second = 3.0 * all / took.as_secs_f64();
    wait::observe(SETTLED);
    figures.writes = audit.of(IDENTITY)?;
    figures.cpu_seconds = controller.cpu()?.as_secs_f64();
    (figures.rss_kib, figures.peak_rss_kib) = controller.memory()?;

    controller.end()?;
    audit.of(IDENTITY)?;
    let mut controller = restart(&lab, &plane, &mut audit, &mut figures)?;
    rest(&mut plane, &controller)?;

    eprintln!("{} single Services", args.singles);
    let times = singles::measure(admin, args.singles)?;
    (figures.create_ms, figures.address_ms) = (Spread::of(times.created), Spread::of(times.addressed));

    eprintln!("an agent, and {} single Services", args.answers);
    let answers = answers::measure(&lab, &plane, FIRST, args.answers)?;
    figures.answer_ms = Spread::of(answers.times);
    (figures.agent_services, figures.agent_rss_kib) = (answers.services, answers.rss_kib);

    eprintln!("{} more Services", args.services);
    let told = controller.written("create-event")?;
    services::serve_all(admin, &names("more"))?;
    wait::observe(SETTLED);
    let started = Instant::now();
    services::create(admin, &names("more"), None)?;
    figures.after_creation_seconds = started.elapsed().as_secs_f64();
    controller.wait_for_writes("create-event", told + args.services)?;
    figures.after_seconds = started.elapsed().as_secs_f64();
    figures.after_lag_seconds = figures.after_seconds - figures.after_creation_seconds;
    ensure!(services::shown(admin, "more-")? == args.services, "not every Service shows an address");
    controller.end()?;

    figures.bare_rates.push(bare::rate(admin, &bare, 1, args.bare)?);
    let mean = figures.bare_rates.iter().sum::<f64>() / figures.bare_rates.len() as f64;
    figures.before_share = figures.before_writes_per_second / mean;
    plane.done();
    Ok(figures)
}

/// Starts the controller where all is as it should be.
fn restart(lab: &Lab, plane: &Plane, audit: &mut Audit, figures: &mut Figures) -> anyhow::Result<Controller> {
    eprintln!("the controller starts again");
    let mut controller = Controller::start(lab, plane)?;
    controller.wait_until_ready()?;
    figures.restart_ready_ms = ms(controller.started.elapsed());
    controller.wait_until_planned()?;
    figures.restart_planned_ms = ms(controller.started.elapsed());
    wait::observe(SETTLED);
    figures.restart_writes = audit.of(IDENTITY)?;
    figures.restart_rss_kib = controller.memory()?.0;
    Ok(controller)
}

/// Waits until the API server has done what a start asks of it: it collects its garbage for seconds after many lists, and
/// a single Service would wait for that.
fn rest(plane: &mut Plane, controller: &Controller) -> anyhow::Result<()> {
    let server = plane.api_server().pid();
    wait::for_ok(REST, "the API server and the controller to be at rest", || {
        let used = || Ok::<_, anyhow::Error>(Usage::of(server).cpu()? + controller.cpu()?);
        let before = used()?;
        wait::observe(Duration::from_secs(1));
        let used = used()? - before;
        ensure!(used < AT_REST, "{used:?} of processor time in a second");
        Ok(())
    })?;
    Ok(())
}

/// The CRDs of `deploy/`, a Node and a class for every Service.
fn install(plane: &Plane) -> anyhow::Result<()> {
    let crds = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds");
    let kubectl = plane.kubectl();
    kubectl.run(&["apply", "--server-side", "-f", &crds.to_string_lossy()])?;
    kubectl.run(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])?;
    for user in [IDENTITY, "agent", "bare"] {
        let user_flag = format!("--user={user}");
        kubectl.run(&["create", "clusterrolebinding", user, "--clusterrole=cluster-admin", &user_flag])?;
    }
    kubectl.apply(&format!(
        "apiVersion: v1\nkind: Node\nmetadata: {{name: node-1}}\n---\napiVersion: network.deckhouse.io/v1alpha1\nkind: \
         MetalLoadBalancerClass\nmetadata: {{name: bench}}\nspec: {{isDefault: true, type: L2, addressPool: [{POOL}]}}\n"
    ))?;
    Ok(())
}
