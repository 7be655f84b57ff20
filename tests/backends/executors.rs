//! The executors from which a program may make a blocking call.

use std::pin::Pin;

/// A future that a test runs on an executor.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(crate) fn plain_thread(task: Task) {
    std::thread::spawn(|| futures_lite::future::block_on(task))
        .join()
        .unwrap();
}

pub(crate) fn current_thread_tokio(task: Task) {
    in_tokio(tokio::runtime::Builder::new_current_thread(), task);
}

pub(crate) fn multi_thread_tokio(task: Task) {
    in_tokio(tokio::runtime::Builder::new_multi_thread(), task);
}

fn in_tokio(mut builder: tokio::runtime::Builder, task: Task) {
    let runtime = builder.enable_all().build().unwrap();
    runtime.block_on(runtime.spawn(task)).unwrap();
}

pub(crate) fn in_smol(task: Task) {
    smol::block_on(smol::spawn(task));
}
