//! A way to the server that fails.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// A way to the server that is cut after so many bytes of a request, for the first `cuts` connections.
pub fn cutting_proxy(to: u16, cuts: i64) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let left = Arc::new(AtomicI64::new(cuts));
    std::thread::spawn(move || {
        let mut seed = 11u64;
        for near in listener.incoming().map_while(Result::ok) {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let is_cut = left.fetch_sub(1, Ordering::Relaxed) > 0;
            // Beyond the whole request now and then: then it is the answer that is lost.
            let limit = if is_cut { (seed >> 33) % 24_000 } else { u64::MAX };
            let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else { continue };
            std::thread::spawn(move || relay(&near, &far, limit));
        }
    });
    port
}

pub fn relay(near: &TcpStream, far: &TcpStream, limit: u64) {
    let is_cut = limit < u64::MAX;
    let (mut from, mut to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(n) = from.read(&mut buffer) {
            // What a cut connection's server says is lost, but for the word that lets the body come.
            let text = &buffer[..n];
            if n == 0 || (is_cut && !text.starts_with(b"HTTP/1.1 100")) || to.write_all(text).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    let _ = std::io::copy(&mut near.take(limit), &mut &*far);
    // A server that has all of it does its work before anybody hears of it.
    std::thread::sleep(Duration::from_millis(20));
    let _ = near.shutdown(std::net::Shutdown::Both);
    let _ = far.shutdown(std::net::Shutdown::Both);
}

/// A way to the server on which the first `slow` answers come `late`: the server has done its work by then.
pub fn slow_proxy(to: u16, slow: i64, late: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let left = Arc::new(AtomicI64::new(slow));
    std::thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else { continue };
            let (mut from, mut back) = (far.try_clone().unwrap(), near.try_clone().unwrap());
            let left = Arc::clone(&left);
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(n @ 1..) = from.read(&mut buffer) {
                    let is_answer = !buffer.starts_with(b"HTTP/1.1 100");
                    if is_answer && left.fetch_sub(1, Ordering::Relaxed) > 0 {
                        std::thread::sleep(late);
                    }
                    if back.write_all(&buffer[..n]).is_err() {
                        break;
                    }
                }
                let _ = back.shutdown(std::net::Shutdown::Both);
            });
            std::thread::spawn(move || std::io::copy(&mut &near, &mut &far));
        }
    });
    port
}
