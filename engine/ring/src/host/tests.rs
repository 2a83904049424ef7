//! What holds on every Linux, without a privilege.

use super::*;

#[test]
fn the_loopback_is_told_and_what_is_none_is_refused() {
    let lo = Device::open("lo").expect("every namespace has a loopback");
    assert!(lo.flags().is_ok_and(|flags| flags.loopback));
    assert!(lo.mtu().is_ok_and(|mtu| mtu >= 1280));
    for (name, errno) in [
        ("nosuch0", libc::ENODEV),
        ("", libc::EINVAL),
        ("a name that is far too long", libc::EINVAL),
        ("l\0", libc::EINVAL),
    ] {
        let error = Device::open(name).expect_err(name);
        assert_eq!(error.raw_os_error(), Some(errno), "{name}");
    }
}

#[test]
fn what_a_driver_does_not_say_is_an_error_and_no_invention() {
    let lo = Device::open("lo").expect("every namespace has a loopback");
    assert!(lo.channels().is_err() && lo.ring_sizes().is_err() && lo.counters().is_err());
    // The stack stamps by itself whatever the driver.
    assert!(lo.stamping().is_ok_and(|stamping| stamping.software_receive && !stamping.hardware_receive));
}

#[test]
fn a_kernel_either_has_af_xdp_or_says_that_it_has_not() {
    if let Err(error) = af_xdp() {
        let errno = error.raw_os_error();
        assert!(matches!(errno, Some(libc::EAFNOSUPPORT | libc::EPERM)), "{error}");
    }
}
