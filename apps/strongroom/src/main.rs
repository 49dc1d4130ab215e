//! `strongroom`: every role and command as a subcommand of one program.

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use strongroom_admission::AdmissionCommand;
use strongroom_encrypt_command::EncryptCommand;
use strongroom_es::{Crds, EsCommand, Why};
use strongroom_inspect::{Explain, Get, Select};
use strongroom_kamus_services::KamusCommand;
use strongroom_launch::Run;
use strongroom_migrate::MigrateCommand;
use strongroom_operator::OperatorCommand;
use strongroom_read::{Audience, report};
use strongroom_server::{DevCommand, ServerCommand};
use strongroom_store_command::{
    AuditCommand, AuthCommand, KvCommand, LoginCommand, LogoutCommand, PolicyCommand, SecretsCommand, StoreCommand,
    TokenCommand,
};
use strongroom_template_command::TemplateCommand;

/// What this program frees is wiped: secrets pass through many hands in it.
#[global_allocator]
static ALLOCATOR: strongroom_process::WipingAllocator = strongroom_process::WipingAllocator;

/// Secrets for Kubernetes, whole: start programs with their secrets, and look at where those come from
#[derive(Parser)]
#[command(
    version,
    arg_required_else_help = true,
    after_help = "Start with: strongroom explain 'vault:secret/data/app#password'"
)]
struct Strongroom {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(Run),
    Get(Get),
    Explain(Explain),
    Select(Select),
    Operator(Box<OperatorCommand>),
    Admission(Box<AdmissionCommand>),
    Server(Box<ServerCommand>),
    Dev(Box<DevCommand>),
    Kamus(Box<KamusCommand>),
    Encrypt(Box<EncryptCommand>),
    Login(LoginCommand),
    Logout(LogoutCommand),
    Kv(KvCommand),
    Token(Box<TokenCommand>),
    Policy(PolicyCommand),
    Auth(AuthCommand),
    Secrets(SecretsCommand),
    Audit(AuditCommand),
    Store(Box<StoreCommand>),
    Why(Why),
    Es(EsCommand),
    Crds(Crds),
    Template(TemplateCommand),
    Migrate(Box<MigrateCommand>),
    /// Render the templates on standard input: the operator starts it for templates that are JavaScript
    #[command(name = strongroom_javascript::WORKER, hide = true)]
    JavascriptWorker,
    /// Print completions for a shell: `source <(strongroom completions bash)`
    Completions {
        /// The shell
        shell: Shell,
    },
}

fn main() -> ExitCode {
    strongroom_telemetry::hide_panic_messages();
    let variables = strongroom_process::environment();
    let arguments = strongroom_admission::with_two_dashes(std::env::args_os());
    let done = match Strongroom::parse_from(arguments).command {
        Command::Run(run) => return run.run(&variables),
        Command::Get(get) => return get.run(&variables),
        Command::Explain(explain) => return explain.run(&variables),
        Command::Select(select) => select.run(),
        Command::Operator(operator) => return operator.run(&variables),
        Command::Admission(admission) => return admission.run(&variables),
        Command::Server(server) => return server.run(&variables),
        Command::Dev(dev) => return dev.run(&variables),
        Command::Kamus(kamus) => return kamus.run(&variables),
        Command::Encrypt(encrypt) => return encrypt.run(&variables),
        Command::Login(login) => return login.run(&variables),
        Command::Logout(logout) => return logout.run(&variables),
        Command::Kv(kv) => return kv.run(&variables),
        Command::Token(token) => return token.run(&variables),
        Command::Policy(policy) => return policy.run(&variables),
        Command::Auth(auth) => return auth.run(&variables),
        Command::Secrets(secrets) => return secrets.run(&variables),
        Command::Audit(audit) => return audit.run(&variables),
        Command::Store(store) => return store.run(&variables),
        Command::Why(why) => return why.run(&variables),
        Command::Es(es) => return es.run(&variables),
        Command::Crds(crds) => return crds.run(),
        Command::Template(template) => template.run(),
        Command::Migrate(migrate) => return migrate.run(&variables),
        // No thread has been started so far, and none is meant to be.
        Command::JavascriptWorker => return strongroom_javascript::serve(),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Strongroom::command(), "strongroom", &mut script);
            // A reader that has gone away has read enough.
            let _ = io::stdout().write_all(&script);
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(Audience::Person, "", &[failure]);
            ExitCode::FAILURE
        }
    }
}
